"""What texts are worth: hotwords found and invented, errors on all other words, each with its interval."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.hotwords.lists import Request

RESAMPLES = 1000
FIRST_CJK = 0x2E80


class Count(msgspec.Struct, frozen=True):
    """One clip: what its text holds against what was said."""

    said: int
    """1 where a hotword was said."""
    found: int
    invented: int
    """Words of the list in the text that were not said."""
    units: int
    """Words said, or characters in a language without spaces; the hotword aside."""
    errors: int
    """Units substituted, left out or put in."""
    wrote: bool
    """Whether there is any text at all."""
    sound: str
    """As in `Sentence`."""

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks in the clip."""
        return self.sound != "speech"


class Share(msgspec.Struct, frozen=True):
    """A ratio, or a difference of two, with its bootstrap 95 % interval, in percent."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """One arm with one list."""

    recall: Share
    precision: Share
    false_alarms: Share
    """Sentences without a hotword whose text holds one."""
    other_errors: Share
    """Over the sentences with and without a hotword."""
    added_errors: Share
    """The same less what the model does without any list."""
    invented: int
    """Hotwords in the texts of sentences that do not have them."""
    quiet_alarms: int
    """Hotwords in the texts of clips that nobody speaks in."""
    music_alarms: int
    """Those of them in music."""
    quiet_texts: int
    """Such clips that got any text."""
    seconds: float
    """Processor time of one request."""

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, in percent."""
        both = self.recall.value + self.precision.value
        return 2 * self.recall.value * self.precision.value / both if both else 0.0


def scores(counts: Sequence[Count], without: Sequence[Count], seconds: float) -> Scores:
    """Sum up the clips; `without` are the same clips without any list."""
    spoken = [count for count in counts if not count.quiet]
    hot = [count for count in spoken if count.said]
    plain_ones = [count for count in spoken if not count.said]
    before = [count for count in without if not count.quiet]
    return Scores(
        recall=share([c.found for c in hot], [c.said for c in hot]),
        precision=share([c.found for c in spoken], [c.found + c.invented for c in spoken]),
        false_alarms=share([min(1, c.invented) for c in plain_ones], [1 for _ in plain_ones]),
        other_errors=share([c.errors for c in spoken], [c.units for c in spoken]),
        added_errors=share(
            [now.errors - then.errors for now, then in zip(spoken, before, strict=True)],
            [c.units for c in spoken],
        ),
        invented=sum(c.invented for c in spoken),
        quiet_alarms=sum(c.invented for c in counts if c.quiet),
        music_alarms=sum(c.invented for c in counts if c.sound == "music"),
        quiet_texts=sum(c.wrote for c in counts if c.quiet),
        seconds=seconds,
    )


def share(parts: Iterable[int], wholes: Iterable[int]) -> Share:
    """Sum over sum; the clips are drawn again a thousand times for the interval. 0 of 0 counts as all."""
    above, below = np.array([*parts], float), np.array([*wholes], float)
    if not below.sum():
        return Share(100.0, 100.0, 100.0)
    drawn = np.random.default_rng(0).integers(0, len(above), (RESAMPLES, len(above)))
    totals = below[drawn].sum(1)
    ratios = 100 * above[drawn].sum(1)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Share(100 * float(above.sum() / below.sum()), float(low), float(high))


def counted(requests: Sequence[Request], texts: Sequence[str], *, spaced: bool) -> list[Count]:
    """Every text against what was said."""
    return [count(request, text, spaced=spaced) for request, text in zip(requests, texts, strict=True)]


def count(request: Request, text: str, *, spaced: bool) -> Count:
    """Compare one text, blind to case and punctuation, with what was said."""
    sentence = request.clip.sentence
    said, wrote, target = plain(sentence.text), plain(text), plain(sentence.target or "")
    extra = [max(0, times(word, wrote) - times(word, said)) for word in map(plain, request.words)]
    reference = units(said, spaced=spaced)
    excused = _places(reference, units(target, spaced=spaced))
    return Count(
        said=int(bool(target)),
        found=int(bool(target) and times(target, wrote) > 0),
        invented=sum(extra),
        units=excused.count(False),
        errors=errors(reference, units(wrote, spaced=spaced), excused),
        wrote=bool(wrote),
        sound=sentence.sound,
    )


@lru_cache(maxsize=100_000)
def plain(text: str) -> str:
    """Lower case, without punctuation, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w\s']", " ", folded).split())


def times(word: str, text: str) -> int:
    """How often a word stands in a text, not as a part of a longer spaced word."""
    if ord(word[0]) >= FIRST_CJK:
        return text.replace(" ", "").count(word)
    return f" {text.replace(' ', '  ')} ".count(f" {word.replace(' ', '  ')} ")


def units(text: str, *, spaced: bool) -> list[str]:
    """The words, or the characters, that errors are counted in."""
    return text.split() if spaced else list(text.replace(" ", ""))


def _places(reference: Sequence[str], target: Sequence[str]) -> list[bool]:
    """Which of the units are the target's."""
    excused = [False] * len(reference)
    for at in range(len(reference) - len(target) + 1):
        if target and list(reference[at : at + len(target)]) == list(target):
            excused[at : at + len(target)] = [True] * len(target)
    return excused


def errors(reference: Sequence[str], written: Sequence[str], excused: Sequence[bool]) -> int:
    """Fewest edits from one to the other; units of the reference that are excused cost nothing.

    Whatever stands in place of a hotword is free here, as long as it is one unit for each of the hotword's.
    """
    row: NDArray[np.int64] = np.arange(len(written) + 1)
    for unit, free in zip(reference, excused, strict=True):
        cost = 0 if free else 1
        above, row = row, np.empty_like(row)
        row[0] = above[0] + cost
        for at, other in enumerate(written, 1):
            swap = above[at - 1] + (cost if other != unit else 0)
            row[at] = min(swap, above[at] + cost, row[at - 1] + 1)
    return int(row[-1])
