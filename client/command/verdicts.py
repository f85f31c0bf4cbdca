"""Judges from the texts and the server's reports whether hotwords were honoured; no I/O."""

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from client.transcripts import HotwordsReport, Transcript

FIRST_CJK = 0x2E80
"""Scripts from here on put no spaces between words."""


class Verdict(StrEnum):
    """What one method did."""

    HONOURED = "honoured"
    """A word is in the text that was not in it without hotwords."""
    NO_EFFECT = "no effect"
    """The server says that it applied the words, and no word has come into the text."""
    IGNORED = "ignored"
    """No word has come into the text, and the server does not say that it applied any."""
    UNKNOWN = "cannot tell"
    """All words are in the text without hotwords already."""


class Finding(msgspec.Struct, frozen=True):
    """One method's text, the words in it, and what follows from that."""

    method: str
    text: str
    found: tuple[str, ...]
    report: HotwordsReport | None
    verdict: Verdict


class Outcome(msgspec.Struct, frozen=True):
    """Everything that was seen."""

    words: tuple[str, ...]
    text: str
    """Without hotwords."""
    methods: tuple[Finding, ...]
    honoured: bool


def finding(method: str, words: Sequence[str], without: Transcript, heard: Transcript) -> Finding:
    """Judge one method by its transcript and the one made without hotwords."""
    found = standing(words, heard.text)
    return Finding(method, heard.text, found, heard.hotwords, _verdict(words, without, heard))


def _verdict(words: Sequence[str], without: Transcript, heard: Transcript) -> Verdict:
    before = set(standing(words, without.text))
    if set(standing(words, heard.text)) - before:
        return Verdict.HONOURED
    if before == set(words):
        return Verdict.UNKNOWN
    return Verdict.NO_EFFECT if heard.hotwords and heard.hotwords.applied else Verdict.IGNORED


def standing(words: Sequence[str], text: str) -> tuple[str, ...]:
    """The words that the text has, spelled exactly so, not as a part of a longer spaced word."""
    return tuple(word for word in words if re.search(_pattern(word), text))


def _pattern(word: str) -> str:
    if ord(word[0]) >= FIRST_CJK:
        return re.escape(word)
    return rf"(?<!\w){re.escape(word)}(?!\w)"
