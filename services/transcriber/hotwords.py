"""Hotwords for endpoints that know nothing of them: as a prompt where there is a field for it; the report."""

import re
from collections.abc import Sequence

import msgspec

from services.contracts.hotwords import (
    DroppedHotword,
    HotwordHit,
    HotwordMethod,
    Hotwords,
    HotwordsReport,
    ranges,
)
from services.contracts.inference import Segment
from services.transcriber.contract import Carried, Contract

PROMPT_BYTES = 440
"""Whisper keeps the last 224 tokens before the audio; two bytes a token is on the safe side."""
REPORTED = 20
"""Dropped words that a report lists by name."""
FIRST_CJK = 0x2E80
"""Scripts from this code point on are written without spaces between words."""
SPACED = rf"[^\W_\u{FIRST_CJK:x}-\U0010ffff]"


class Steering(msgspec.Struct, frozen=True):
    """What becomes of a list before anything is heard."""

    prompt: str = ""
    applied: int = 0
    dropped: tuple[DroppedHotword, ...] = ()
    dropped_at: tuple[tuple[int, int], ...] = ()


def steering(hotwords: Hotwords | None, contract: Contract, carries: frozenset[Carried]) -> Steering:
    """The list as a prompt, as far as contract and room allow; our own container sees to it itself."""
    if hotwords is None or not hotwords.words or Carried.BIAS in carries:
        return Steering()
    if hotwords.method is HotwordMethod.PROMPT_INJECTION and Carried.PROMPT in carries:
        return _prompted(hotwords.words)
    lacking = "hotwords" if Carried.PROMPT not in carries else f"{hotwords.method} (prompt_injection it can)"
    return Steering(
        dropped=_named(hotwords.words, f"the endpoint's contract {contract} cannot carry {lacking}"),
        dropped_at=ranges(range(len(hotwords.words))),
    )


def report(hotwords: Hotwords, steered: Steering, segments: Sequence[Segment]) -> HotwordsReport:
    """Say what became of a list; a word may stand in the text without having been applied."""
    hits = (
        HotwordHit(word=word, time=segment.start)
        for segment in segments
        for word in hotwords.words
        if stands_in(segment.text, word)
    )
    return HotwordsReport(
        method=hotwords.method,
        given=len(hotwords.words),
        applied=steered.applied,
        dropped=steered.dropped,
        hits=tuple(hits),
        dropped_at=steered.dropped_at,
    )


def stands_in(text: str, word: str) -> bool:
    """Whether the text holds the word as spelled, not inside a longer one as `Lynch` is in `Lynchburg`."""
    before = f"(?<!{SPACED})" if _spaced(word[0]) else ""
    after = f"(?!{SPACED})" if _spaced(word[-1]) else ""
    return word in text and re.search(before + re.escape(word) + after, text) is not None


def _prompted(words: Sequence[str]) -> Steering:
    """Whole words in the order given, until the room is used up: users put what matters first."""
    between, stop = ("、", "。") if not _spaced(words[0][0]) else (", ", ".")
    text, applied = "", 0
    for word in words:
        longer = f"{text}{between}{word}" if text else word
        if len((longer + stop).encode()) > PROMPT_BYTES:
            break
        text, applied = longer, applied + 1
    return Steering(
        text + stop if text else "",
        applied,
        _named(words[applied:], "no room in the prompt"),
        ranges(range(applied, len(words))),
    )


def _named(words: Sequence[str], reason: str) -> tuple[DroppedHotword, ...]:
    return tuple(DroppedHotword(word=word, reason=reason) for word in words[:REPORTED])


def _spaced(character: str) -> bool:
    return character.isalnum() and ord(character) < FIRST_CJK
