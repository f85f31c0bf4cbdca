"""Words a user wants spelled their way: the request, its limits and the report that comes back."""

import unicodedata
from collections.abc import Iterable, Mapping, Sized
from enum import StrEnum

import msgspec

from services.contracts.channels import Channel

MAX_WORDS = 5_000
MAX_WORD_CHARACTERS = 64
MAX_TOTAL_BYTES = 256 * 1024
MAX_BOOST = 5.0
DEFAULT_BOOST = 1.5
"""Nats added per matched token: one token's odds grow by e^1.5, about 4.5 times."""
DEFAULT_LIST = "default"
"""The list of a user whose words go with uploads that name none."""
MOST_RANGES = 100
"""Ranges of dropped words in a report: those without room are one, those too long stand alone."""
INVISIBLE = ("Cc", "Cf", "Cs")
"""Unicode categories: control characters, format characters, halves of surrogate pairs."""
HARMLESS = "\t\n\r\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Of those, space between the parts of a word, and what Persian and Indian scripts spell with."""


class InvalidHotwords(ValueError):
    """A hotword request broke a rule; `field` names the offending one."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class HotwordMethod(StrEnum):
    """How hotwords steer the model: as text before the audio, or as a bonus on its scores."""

    PROMPT_INJECTION = "prompt_injection"
    LOGIT_BIAS = "logit_bias"


class Hotwords(msgspec.Struct, frozen=True, kw_only=True):
    """A list of words and how strongly they pull. The defaults mean: no hotwords."""

    method: HotwordMethod = HotwordMethod.PROMPT_INJECTION
    words: tuple[str, ...] = ()
    boost_factor: float = DEFAULT_BOOST


class HotwordList(msgspec.Struct, frozen=True, kw_only=True):
    """A stored list as one version of it holds it; those stored before lists had versions are the first."""

    method: HotwordMethod = HotwordMethod.PROMPT_INJECTION
    words: tuple[str, ...] = ()
    boost_factor: float = DEFAULT_BOOST
    version: int = 1
    updated_at: float | None = None
    """Unix time, seconds, where it is known."""

    @property
    def hotwords(self) -> Hotwords:
        """What the model gets of it."""
        return Hotwords(method=self.method, words=self.words, boost_factor=self.boost_factor)


class ListUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The stored list that a job's words are from."""

    name: str
    version: int
    shared: bool = False
    """Whether it is one of everybody's, and not the user's own."""


class DroppedHotword(msgspec.Struct, frozen=True, kw_only=True):
    """A word that could not be applied, and why."""

    word: str
    reason: str


class HotwordHit(msgspec.Struct, frozen=True, kw_only=True):
    """A hotword found in the text; `time` is when it begins (seconds)."""

    word: str
    time: float
    channel: Channel = msgspec.UNSET


class SuspectedHotword(msgspec.Struct, frozen=True, kw_only=True):
    """A hit that the bias may have put there: without it the model found the word improbable."""

    word: str
    time: float
    avg_logprob: float
    """Average over the word's tokens, without bias; natural log."""
    channel: Channel = msgspec.UNSET


class HotwordsReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the hotwords of one request: counts, and the first dropped ones with reasons."""

    method: HotwordMethod
    given: int
    applied: int
    dropped: tuple[DroppedHotword, ...] = ()
    hits: tuple[HotwordHit, ...] = ()
    suspected: tuple[SuspectedHotword, ...] = ()
    """Those of the hits that may be false."""
    prompt_tokens: int = 0
    """Length of the prompt that held the words."""
    min_beams: int = 1
    """Paths that the method follows at least, whatever the request asks for."""
    dropped_at: tuple[tuple[int, int], ...] = ()
    """Where in the list all dropped words stand: ranges from a place up to but not including another."""


def ranges(places: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """The first `MOST_RANGES` ranges of rising places, neighbours in one."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1] = (found[-1][0], place + 1)
        elif len(found) < MOST_RANGES:
            found.append((place, place + 1))
        else:
            break
    return tuple(found)


def validated(
    *,
    method: str = HotwordMethod.PROMPT_INJECTION,
    words: Iterable[object] = (),
    boost_factor: float = DEFAULT_BOOST,
) -> Hotwords:
    """Check raw values against every limit and return them cleaned: NFC, trimmed, no duplicates.

    Raises `InvalidHotwords` naming the first field and value that broke a rule.
    """
    try:
        known = HotwordMethod(method)
    except ValueError:
        choices = " or ".join(HotwordMethod)
        raise InvalidHotwords("method", f"unknown hotword method {method!r}: use {choices}") from None
    if isinstance(boost_factor, bool) or not isinstance(boost_factor, int | float):
        raise InvalidHotwords("boost_factor", f"boost_factor must be a number, not {boost_factor!r}")
    if not 0 <= boost_factor <= MAX_BOOST:  # also refuses nan
        raise InvalidHotwords("boost_factor", f"boost_factor {boost_factor} is outside 0 to {MAX_BOOST:g}")
    if isinstance(words, str | bytes | Mapping) or not isinstance(words, Iterable):
        raise InvalidHotwords("words", f"words must be a list of strings, not {type(words).__name__}")
    cleaned = _distinct(words)
    total = sum(len(word.encode()) for word in cleaned)
    if total > MAX_TOTAL_BYTES:
        raise InvalidHotwords("words", f"hotwords take {total} bytes, at most {MAX_TOTAL_BYTES} are allowed")
    return Hotwords(method=known, words=cleaned, boost_factor=float(boost_factor))


def _distinct(words: Iterable[object]) -> tuple[str, ...]:
    """Each word once, cleaned; ends at the first one too many: a request has room for a million."""
    seen, cleaned = set[str](), dict[str, None]()
    for word in words:
        if not isinstance(word, str):
            raise InvalidHotwords("words", f"hotword {word!r:.80} is not a string")
        if word in seen:
            continue
        seen.add(word)
        cleaned[_cleaned(word)] = None
        if len(cleaned) > MAX_WORDS:
            given = f" of {len(words)}" if isinstance(words, Sized) else ""
            raise InvalidHotwords(
                "words", f"hotword {len(cleaned)}{given} is too many: at most {MAX_WORDS} are allowed"
            )
    return tuple(cleaned)


def _cleaned(word: str) -> str:
    for character in word:
        if unicodedata.category(character) in INVISIBLE and character not in HARMLESS:
            code = f"U+{ord(character):04X}"
            raise InvalidHotwords("words", f"hotword {word[:80]!r} holds the control character {code}")
    text = " ".join(unicodedata.normalize("NFC", word).split())
    if not 1 <= len(text) <= MAX_WORD_CHARACTERS:
        raise InvalidHotwords(
            "words", f"hotword {word[:80]!r} must have 1 to {MAX_WORD_CHARACTERS} characters"
        )
    if not any(character.isalnum() for character in text):
        raise InvalidHotwords("words", f"hotword {text!r} holds no letter or digit")
    if "<|" in text or "|>" in text:
        raise InvalidHotwords("words", f"hotword {text!r} must not hold <| or |>, the model's own marks")
    return text
