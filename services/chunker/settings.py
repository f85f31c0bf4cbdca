"""Settings of the chunker."""

from services.common.settings import ServiceSettings

GB = 1_000_000_000


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """How much work a process takes, and how far ahead of the endpoint a job may run."""

    drain_seconds: float = 2.0
    """How long a stopping process may take; its jobs are handed to others, which repeat them exactly."""
    chunker_slots: int = 8
    """Short jobs in hand at once; long ones may take three quarters as many, and never these."""
    user_jobs: int = 4
    """Jobs of a user that run at once, three quarters of them long; the rest wait. The same everywhere."""
    window_chunks: int = 8
    """Chunks of a user that may wait for their text: what the endpoint's capacity is shared by."""
    redrive_seconds: float = 120.0
    """A chunk without an outcome after this time is sent again."""
    upload_silence_seconds: float = 30.0
    """An upload without any sign of life for this long is taken as broken off."""
    max_duration_seconds: float = 86_400.0
    """Longest recording; what comes after it is left out, and the job says so."""
    spool_directory: str = ""
    """Where files with their index at the end are kept while they are decoded; empty is the system's."""
    spool_max_bytes: int = 20 * GB
    """Disk that such files may take together in one process."""
    decoder_sandbox_required: bool = False
    """Refuse to start where the kernel cannot keep the decoder from files, network and processes."""
