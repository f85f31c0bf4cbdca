"""A job's words so far, in the order of the recording."""

from typing import Literal

import msgspec

from client.answers import Problem, Range, Segment, Word

Format = Literal["text", "srt", "vtt", "json"]
"""How a transcript can be had; `json` is the `Transcript` itself."""


class MissingText(msgspec.Struct, frozen=True):
    """A stretch without text, in seconds, and why."""

    start: float
    end: float
    error: Problem
    channel: int | None = None


class Dropped(msgspec.Struct, frozen=True):
    """A hotword that was not applied, and why."""

    word: str
    reason: str


class Hit(msgspec.Struct, frozen=True):
    """A place where a hotword was heard; `avg_logprob` where it is doubtful."""

    word: str
    time: float
    avg_logprob: float | None = None
    channel: int | None = None


class WordCount(msgspec.Struct, frozen=True):
    """How often one hotword was heard, left out, and heard doubtfully."""

    word: str
    heard: int = 0
    dropped: int = 0
    suspected: int = 0


class HotwordsReport(msgspec.Struct, frozen=True):
    """What the server says became of the hotwords."""

    given: int
    applied: int
    dropped: tuple[Dropped, ...] = ()
    method: str | None = None
    hits: tuple[Hit, ...] = ()
    suspected: tuple[Hit, ...] = ()
    words: tuple[WordCount, ...] = ()


class Transcript(msgspec.Struct, frozen=True):
    """What is known so far; complete when `status` is `completed` and there are no `gaps`."""

    text: str
    hotwords: HotwordsReport | None = None
    id: str = ""
    name: str = ""
    status: str = ""
    language: str | None = None
    duration: float | None = None
    segments: tuple[Segment, ...] = ()
    words: tuple[Word, ...] | None = None
    gaps: tuple[MissingText, ...] = ()
    skipped: tuple[Range, ...] = ()
    notices: tuple[str, ...] = ()
