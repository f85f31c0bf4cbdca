"""Timed lines of text as SubRip and WebVTT subtitles."""

from collections.abc import Iterator, Sequence
from typing import Protocol


class Timed(Protocol):
    """A phrase with its times in seconds."""

    @property
    def start(self) -> float:
        """When it begins."""

    @property
    def end(self) -> float:
        """When it ends."""

    @property
    def text(self) -> str:
        """What is said."""


def srt(lines: Sequence[Timed]) -> str:
    """SubRip subtitles."""
    return "".join(
        f"{number}\n{_clock(line.start, ',')} --> {_clock(line.end, ',')}\n{_cue(line.text)}\n\n"
        for number, line in enumerate(_spoken(lines), start=1)
    )


def vtt(lines: Sequence[Timed]) -> str:
    """WebVTT subtitles (https://www.w3.org/TR/webvtt1/)."""
    cues = (
        f"{_clock(line.start, '.')} --> {_clock(line.end, '.')}\n{_escaped(_cue(line.text))}\n\n"
        for line in _spoken(lines)
    )
    return "WEBVTT\n\n" + "".join(cues)


def _spoken(lines: Sequence[Timed]) -> Iterator[Timed]:
    return (line for line in lines if line.text)


def _cue(text: str) -> str:
    """A blank line would end the cue, and --> would begin another."""
    return " ".join(text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(time: float, point: str) -> str:
    minutes, milliseconds = divmod(round(time * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, part = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{part:03}"
