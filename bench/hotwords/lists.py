"""The lists: words that are spoken, among distractors that are not."""

import random
from collections.abc import Sequence

import msgspec

from bench.hotwords.corpus import Clip, rare
from testmodel.vocabulary import Language

SIZES = (1, 50, 100, 500, 1000)
PHRASE_SHARE = 0.4
"""Distractors made of words that the model can write: each is a false start waiting to happen."""
ONSETS = ("b", "br", "ch", "d", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "p", "r", "st", "t", "v", "z")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "io", "ou")
CODAS = ("l", "n", "r", "s", "t", "x", "ck", "nd", "rd", "th")


class Request(msgspec.Struct, frozen=True):
    """One clip to be transcribed with one list."""

    clip: Clip
    words: tuple[str, ...]


def requests(language: Language, clips: Sequence[Clip], size: int, seed: int) -> list[Request]:
    """Every clip with its list of `size` words: those of its half, or a single one where `size` is 1."""
    if size == 1:
        return [Request(clip, (_single(language, clip, number),)) for number, clip in enumerate(clips)]
    texts = "\n".join(clip.sentence.text for clip in clips)
    lists = [_list(language, half, size, texts, seed) for half in range(2)]
    return [Request(clip, lists[clip.sentence.half]) for clip in clips]


def _single(language: Language, clip: Clip, number: int) -> str:
    words = rare(language, clip.sentence.half)
    return clip.sentence.target or words[number // 2 % len(words)]


def _list(language: Language, half: int, size: int, texts: str, seed: int) -> tuple[str, ...]:
    """The rare spellings of one half, phrases nobody says, and names made up; in any order."""
    chance = random.Random(f"{language.code} {half} {size} {seed}")
    words = rare(language, half)
    if len(words) > size:
        raise ValueError(f"a list of {size} has no room for {len(words)} words that are said")
    phrases = round(PHRASE_SHARE * (size - len(words)))
    while len(words) < size:
        word = _phrase(language, chance) if phrases > 0 else _name(language, chance)
        if word not in texts and word not in words:
            words.append(word)
            phrases -= 1
    chance.shuffle(words)
    return tuple(words)


def _phrase(language: Language, chance: random.Random) -> str:
    """Two words that the model knows."""
    listed = [word for choices in language.lists.values() for word in choices]
    return language.joiner.join(chance.sample(listed, 2))


def _name(language: Language, chance: random.Random) -> str:
    """A name of some syllables, or of some characters."""
    if not language.joiner:
        return "".join(_hanzi(chance) for _ in range(chance.randint(2, 3)))
    syllables = [chance.choice(ONSETS) + chance.choice(VOWELS) for _ in range(chance.randint(1, 3))]
    return "".join([*syllables, chance.choice(CODAS)]).capitalize()


def _hanzi(chance: random.Random) -> str:
    """One of the 3,755 characters of GB 2312's first level, or nearly all of them."""
    return bytes((chance.randint(0xB0, 0xD6), chance.randint(0xA1, 0xFE))).decode("gb2312")
