"""What a recording on its way tells whoever wants to know."""

from client.answers import Job, JobEvent
from client.reading import Reading


class Observer:
    """Override what is of interest. Called on the event loop's thread, `uploaded` on a reading one."""

    def uploaded(self, sent: int, size: int) -> None:
        """So many bytes of the file have been read and handed to the connection."""

    def broke_off(self, cause: str) -> None:
        """The upload broke off, and is tried again."""

    def stored(self, job: Job) -> None:
        """The recording is whole at the server: from here on it is transcribed whatever happens here."""

    def heard(self, event: JobEvent, reading: Reading, texts: list[str]) -> None:
        """An event has been put to `reading`; `texts` are those whose turn has come."""
