"""The parts of the server's answers that the command uses; fields it does not know are passed over."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """An error or a notice: `code` for programs, `message` for people."""

    code: str
    message: str


class Refusal(msgspec.Struct, frozen=True):
    """Body of an answer that is an error."""

    error: Problem


class Tokens(msgspec.Struct, frozen=True):
    """What a login or a refresh gives; the lifetime is in seconds."""

    access_token: str
    expires_in: float
    refresh_token: str = ""


class Upload(msgspec.Struct, frozen=True):
    """How far the recording has come: `receiving`, `stored` or `interrupted`."""

    state: str


class Progress(msgspec.Struct, frozen=True):
    """The server's own count; seconds of audio."""

    total_seconds: float | None = None


class Job(msgspec.Struct, frozen=True):
    """One recording on its way to text."""

    id: str
    status: str
    upload: Upload
    duration: float | None = None
    progress: Progress | None = None
    attempt: int = 0
    position: int | None = None
    seconds_left: float | None = None


class Jobs(msgspec.Struct, frozen=True):
    """A page of jobs."""

    jobs: tuple[Job, ...]


class Range(msgspec.Struct, frozen=True):
    """A stretch of the recording, in seconds."""

    start: float
    end: float


class Cut(msgspec.Struct, frozen=True):
    """Where chunk `chunk` lies (seconds), and the silence that was left out before it."""

    chunk: int
    start: float
    end: float
    skipped: tuple[Range, ...] = ()


class Text(msgspec.Struct, frozen=True):
    """The text of one chunk."""

    chunk: int
    start: float
    end: float
    text: str


class Gap(msgspec.Struct, frozen=True):
    """A chunk that got no text, and why."""

    chunk: int
    start: float
    end: float
    error: Problem
    attempt: int = 0


class End(msgspec.Struct, frozen=True):
    """The job is over."""

    status: str
    duration: float | None = None
    error: Problem | None = None
    notice: Problem | None = None


JobEvent = Job | Cut | Text | Gap | End
EVENTS: dict[str, type[JobEvent]] = {"job": Job, "cut": Cut, "text": Text, "gap": Gap, "end": End}
"""Event names of the stream and the shape of their data."""
