"""A job and its events, as the server tells them; fields that are not known here are passed over."""

from datetime import datetime

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """An error or a notice: `code` for programs, `message` for people."""

    code: str
    message: str
    field: str | None = None
    """The option at fault, where it is one."""


class Refusal(msgspec.Struct, frozen=True):
    """Body of an answer that is an error."""

    error: Problem


class Tokens(msgspec.Struct, frozen=True):
    """What a login or a refresh gives; the lifetime is in seconds."""

    access_token: str
    expires_in: float
    refresh_token: str = ""


class Me(msgspec.Struct, frozen=True):
    """Who the server says one is."""

    username: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    """Of a personal access token; None for a login."""
    notice: str | None = None


class Upload(msgspec.Struct, frozen=True):
    """How far the recording has come: `receiving`, `stored` or `interrupted`."""

    state: str
    bytes: int = 0
    total_bytes: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """The server's own count; seconds of audio."""

    total_seconds: float | None = None
    percent: float = 0.0
    transcribed_seconds: float = 0.0
    chunks_done: int = 0
    chunks_known: int = 0
    gaps: int = 0


class HotwordsUsed(msgspec.Struct, frozen=True):
    """The words that a job was given."""

    words: tuple[str, ...] = ()
    method: str | None = None
    boost_factor: float | None = None


class ListUsed(msgspec.Struct, frozen=True):
    """The stored list that a job's words are from."""

    name: str
    version: int
    shared: bool = False


class OptionsUsed(msgspec.Struct, frozen=True):
    """What a job was asked for."""

    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str = ""
    task: str = "transcribe"
    timestamps: str = "segment"
    temperature: float = 0.0
    skip_silence: bool = True
    priority: str = "normal"
    channels: str = "mix"
    callback_url: str | None = None
    hotwords: HotwordsUsed | None = None


class Job(msgspec.Struct, frozen=True):
    """One recording on its way to text; an event too, of which the last one counts."""

    id: str
    status: str
    """`queued`, `running`, `completed`, `failed`, `interrupted` or `cancelled`."""
    upload: Upload
    duration: float | None = None
    """Seconds; None while it is unknown."""
    progress: Progress | None = None
    attempt: int = 0
    """How often its gaps were tried again."""
    position: int | None = None
    """Place in line, 1 for the next one."""
    seconds_left: float | None = None
    name: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    options: OptionsUsed | None = None
    hotword_list: ListUsed | None = None
    hotwords_revision: int = 0
    """How often its hotwords were changed since it was sent."""
    error: Problem | None = None
    notice: Problem | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes unless its gaps are tried again."""
        return self.status in ("completed", "failed", "interrupted", "cancelled")


class Jobs(msgspec.Struct, frozen=True):
    """A page of jobs, and where the next one begins."""

    jobs: tuple[Job, ...]
    next: str | None = None


class Range(msgspec.Struct, frozen=True):
    """A stretch of the recording, in seconds."""

    start: float
    end: float
    channel: int | None = None


class Segment(msgspec.Struct, frozen=True):
    """One phrase with its times in seconds."""

    start: float
    end: float
    text: str
    chunk: int | None = None
    channel: int | None = None
    """0 for the first one, where channels were split."""


class Word(msgspec.Struct, frozen=True):
    """One word with its times in seconds, where words were asked for."""

    start: float
    end: float
    word: str
    channel: int | None = None


class Cut(msgspec.Struct, frozen=True):
    """Where chunk `chunk` lies (seconds), and the silence that was left out before it."""

    chunk: int
    start: float
    end: float
    skipped: tuple[Range, ...] = ()
    channel: int | None = None
    event_id: str | None = None
    """Events that follow it can be had with this."""


class Text(msgspec.Struct, frozen=True):
    """The text of one chunk."""

    chunk: int
    start: float
    end: float
    text: str
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] | None = None
    channel: int | None = None
    event_id: str | None = None


class Gap(msgspec.Struct, frozen=True):
    """A chunk that got no text, and why."""

    chunk: int
    start: float
    end: float
    error: Problem
    attempt: int = 0
    channel: int | None = None
    event_id: str | None = None


class End(msgspec.Struct, frozen=True):
    """The job is over."""

    status: str
    duration: float | None = None
    error: Problem | None = None
    notice: Problem | None = None
    event_id: str | None = None


JobEvent = Job | Cut | Text | Gap | End
EVENTS: dict[str, type[JobEvent]] = {"job": Job, "cut": Cut, "text": Text, "gap": Gap, "end": End}
"""Event names of the stream and the shape of their data."""
