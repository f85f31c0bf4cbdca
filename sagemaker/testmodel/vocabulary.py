"""What a language of the model consists of, and the sentences made from it."""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

Word = str | int
"""A word as it is written, or the number of a set of words that sound the same."""
Sentence = tuple[Word, ...]
Spelling = Mapping[int, int]
"""Which spelling each set has, by the set's number: 0 the common one, 1 the rare one. Missing: common."""

RARE_SHARE = 0.1
"""How often the rare spelling is right where nothing in the prompt decides it."""
HELD_OUT_PERCENT = {"test": 2, "dev": 2}
PIECE = re.compile(r"\{(\w+)\}|([a-zA-Z]+)|([^{}\sa-zA-Z]+)")


def same_sound(pairs: str) -> tuple[tuple[str, str], ...]:
    """(common, rare) spellings from text like `John/Jon cache/cash`."""
    return tuple((common, rare) for common, rare in (pair.split("/") for pair in pairs.split()))


@dataclass(frozen=True, kw_only=True)
class Language:
    """Patterns such as `please {V} the {O}`, and what may stand for each placeholder."""

    code: str
    voices: tuple[str, ...]
    paces: tuple[int, int]
    """Slowest and fastest speech, words a minute."""
    joiner: str
    end: str
    homophones: Mapping[str, tuple[tuple[str, str], ...]]
    lists: Mapping[str, Sequence[str]]
    patterns: Sequence[str]
    prompt_heads: tuple[str, ...]
    """Words that a glossary in a prompt may begin with."""

    @cached_property
    def sets(self) -> tuple[tuple[str, str], ...]:
        """All (common, rare) spellings; a homophone's number is its place here."""
        return tuple(pair for pairs in self.homophones.values() for pair in pairs)

    @cached_property
    def _choices(self) -> dict[str, tuple[Word, ...]]:
        choices: dict[str, tuple[Word, ...]] = {name: tuple(words) for name, words in self.lists.items()}
        first = 0
        for name, pairs in self.homophones.items():
            choices[name] = tuple(range(first, first + len(pairs)))
            first += len(pairs)
        return choices

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every word the language has, each once, common and rare spellings included."""
        fixed = [word for pattern in self.patterns for _, *text in PIECE.findall(pattern) for word in text]
        listed = [word for words in self.lists.values() for word in words]
        spelled = [word for pair in self.sets for word in pair]
        return tuple(dict.fromkeys(word for word in (*fixed, *listed, *spelled) if word))

    def sentence(self, chance: random.Random) -> Sentence:
        """One sentence: any pattern with any words, homophones as their numbers."""
        pieces = PIECE.findall(chance.choice(self.patterns))
        return tuple(
            chance.choice(self._choices[slot]) if slot else word or sign for slot, word, sign in pieces
        )

    def sentence_of(self, chance: random.Random, split: str) -> Sentence:
        """One sentence of a split: `train`, `dev` or `test`."""
        while True:
            sentence = self.sentence(chance)
            if split_of(self.code, sentence) == split:
                return sentence

    def spelled(self, sentence: Sentence, spelling: Spelling | None = None) -> list[str]:
        """The words as written, first letter large, without the full stop."""
        words = [self.written(word, spelling) for word in sentence]
        return [words[0][0].upper() + words[0][1:], *words[1:]]

    def written(self, word: Word, spelling: Spelling | None = None) -> str:
        """One word in the spelling asked for."""
        return word if isinstance(word, str) else self.sets[word][(spelling or {}).get(word, 0)]

    def text(self, sentence: Sentence, spelling: Spelling | None = None) -> str:
        """The sentence with its full stop."""
        return self.joiner.join(self.spelled(sentence, spelling)) + self.end


def split_of(code: str, sentence: Sentence) -> str:
    """Which split a sentence belongs to, by its words alone: the same on every machine."""
    digest = hashlib.sha256(f"{code} {sentence!r}".encode()).digest()
    bar = digest[0] * 256 + digest[1]
    for name, percent in HELD_OUT_PERCENT.items():
        share = 65536 * percent // 100
        if bar < share:
            return name
        bar -= share
    return "train"
