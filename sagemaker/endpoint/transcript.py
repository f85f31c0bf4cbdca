"""From the model's tokens to phrases with times, without touching the model."""

import zlib
from collections.abc import Sequence

import msgspec

SECONDS_PER_TIMESTAMP = 0.02


class Phrase(msgspec.Struct, frozen=True, kw_only=True):
    """Text tokens between two timestamps; seconds from the start of the window."""

    start: float
    end: float
    first: int
    """Index of its first token among the window's tokens."""
    tokens: tuple[int, ...]

    @property
    def span(self) -> slice:
        """Its tokens within the window's."""
        return slice(self.first, self.first + len(self.tokens))


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The phrases of one window, and where the model stopped short of its end."""

    phrases: tuple[Phrase, ...]
    stopped_at: float | None = None
    """Start (s) of a phrase the model left open: the window has to be read again from there."""
    strayed: bool = False
    """Whether phrases were given times after the window's end. They are left out: text without a place."""


def phrases(tokens: Sequence[int], first_timestamp: int, end_of_text: int, seconds: float) -> Reading:
    """Split tokens of a window of `seconds` at the timestamps, clipping times to it.

    Whisper writes `<start> text <end>` per phrase. An open phrase, with or without text, is where it ran
    into the window's end; its text ends at `seconds` until it is read again.
    """
    found: list[Phrase] = []
    start, first, open_start = 0.0, 0, None
    text: list[int] = []
    for index, token in enumerate(tokens):
        if first_timestamp <= token:
            time = (token - first_timestamp) * SECONDS_PER_TIMESTAMP
            if text:
                found.append(Phrase(start=start, end=time, first=first, tokens=tuple(text)))
                text, open_start = [], None
            else:
                open_start = time
            start, first = time, index + 1
        elif token < end_of_text:
            text.append(token)
    if text:
        found.append(Phrase(start=start, end=seconds, first=first, tokens=tuple(text)))
        open_start = start
    clipped = tuple(
        msgspec.structs.replace(
            phrase, end=min(seconds, max(phrase.start + SECONDS_PER_TIMESTAMP, phrase.end))
        )
        for phrase in found
        if phrase.start < seconds
    )
    return Reading(phrases=clipped, stopped_at=open_start, strayed=len(clipped) < len(found))


def closed_tokens(tokens: Sequence[int], first_timestamp: int) -> int:
    """How many tokens there are up to the last timestamp that ends a phrase."""
    for index in range(len(tokens) - 1, 0, -1):
        if tokens[index] >= first_timestamp > tokens[index - 1]:
            return index + 1
    return 0


def compression_ratio(text: str) -> float:
    """Bytes over compressed bytes; above 2.4 the model has most likely repeated itself (openai/whisper)."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0
