"""Settings of the provisioning step: disk budgets and how long things are kept."""

from services.common.settings import ServiceSettings
from services.contracts.topology import DAY_SECONDS, GIB


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Budgets of the streams."""

    up_max_bytes: int = 50 * GIB
    """Disk budget of uploaded audio that is not erased yet."""
    chunk_max_bytes: int = 2 * GIB
    """Disk budget of chunks waiting for the endpoint."""
    results_max_bytes: int = 10 * GIB
    """Disk budget of transcripts."""
    records_max_bytes: int = GIB
    """Disk budget of job records, about 1 KB each."""
    audio_max_age_seconds: float = 7 * DAY_SECONDS
    """Audio older than this is dropped even when nothing erased it; above the longest backlog."""
    text_retention_seconds: float = 7 * DAY_SECONDS
    """Transcripts and job records are kept this long."""
    usage_retention_days: float = 400.0
    """What each user used on a day is kept for so many days."""
    stream_replicas: int = 1
    """Copies of each stream: 3 on a cluster of three servers."""
    provision_wait_seconds: float = 300.0
    """How long to wait for a NATS that can hold the streams, before that counts as a failure."""
