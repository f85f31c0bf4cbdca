"""Sentences and prompts in the ids of a small vocabulary: what the grammar needs, and one for the rest."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from transformers import WhisperProcessor

from testmodel.bank import unit_starts
from testmodel.languages import LANGUAGES
from testmodel.tokenizer import TIMESTAMPS, VOCABULARY_SIZE, special_ids
from testmodel.vocabulary import Sentence

NAMED = (
    "endoftext",
    "startoftranscript",
    "en",
    "zh",
    "translate",
    "transcribe",
    "startofprev",
    "nospeech",
    "notimestamps",
)
SIGNS = (",", ".", ":", "，", "。", "：", "、", " ")
SAMPLED_SENTENCES = 4000
"""Mandarin words merge into tokens across their borders: which ones, only sentences show."""


@dataclass(frozen=True)
class Token:
    """One id of a sentence, the word it belongs to and the unit (of `Clip.units`) that sounds then."""

    id: int
    word: int
    unit: int


@dataclass(frozen=True)
class Line:
    """A sentence's tokens; where a homophone's spellings part: token place to the other spelling's id."""

    tokens: tuple[Token, ...]
    forks: dict[int, tuple[int, int]]
    """Place to (number of the set, id the other spelling would have there)."""


class Script:
    """The small vocabulary: `full` lists the real ids by small id; `junk` stands for all others."""

    def __init__(self, processor: WhisperProcessor, full: Sequence[int]) -> None:
        self.full = tuple(full)
        self.junk = len(self.full)
        self.size = self.junk + 1
        self.unused = VOCABULARY_SIZE - self.junk
        self.texts = sum(real < special_ids()["endoftext"] for real in self.full)
        self.processor = processor
        self._small = {real: small for small, real in enumerate(self.full)}
        self._encoder = processor.tokenizer._tokenizer  # gives characters' places, which the wrapper hides
        self.special = {name: self._small[special_ids()[name]] for name in NAMED}
        self.first_timestamp = self._small[special_ids()["0.00"]]
        self.line = lru_cache(maxsize=200_000)(self._line)

    @cached_property
    def strange_words(self) -> dict[str, list[str]]:
        """Words by language that the model never learns, for prompts to be full of."""
        used = set(self.full)
        texts = [self.processor.tokenizer.decode([real]) for real in range(256, 50_257) if real not in used]
        english = [
            text.strip() for text in texts if text[:1] == " " and text[1:].isascii() and text[1:].isalpha()
        ]
        known = set("".join(LANGUAGES["zh"].words))
        mandarin = [
            text
            for text in texts
            if text and all("一" <= sign <= "龥" and sign not in known for sign in text)
        ]
        return {"en": english, "zh": mandarin}

    def ids(self, text: str) -> list[tuple[int, int]]:
        """(small id, place of its first character that is no space) of each token."""
        encoded = self._encoder.encode(text, add_special_tokens=False)
        pairs = zip(encoded.ids, encoded.offsets, strict=True)
        return [
            (self._small.get(real, self.junk), start + (text[start:end] != " " and text[start] == " "))
            for real, (start, end) in pairs
        ]

    def timestamp(self, step: int) -> int:
        """The token of `step` times 20 ms."""
        return self.first_timestamp + step

    def _line(self, language: str, sentence: Sentence, rare: frozenset[int]) -> Line:
        tokens = self._tokens(language, sentence, rare)
        forks = {}
        for number in {word for word in sentence if isinstance(word, int)}:
            other = self._tokens(language, sentence, rare ^ {number})
            place = next(
                i for i, (one, two) in enumerate(zip(tokens, other, strict=False)) if one.id != two.id
            )
            forks[place] = (number, other[place].id)
        return Line(tokens, forks)

    def _tokens(self, language: str, sentence: Sentence, rare: frozenset[int]) -> tuple[Token, ...]:
        spoken = LANGUAGES[language]
        words = spoken.spelled(sentence, dict.fromkeys(rare, 1))
        lead = spoken.joiner
        starts, owners = unit_starts(spoken, words), _owners(words, spaced=bool(spoken.joiner))
        tokens = []
        for token, place in self.ids(lead + spoken.joiner.join(words) + spoken.end):
            unit = max(i for i, start in enumerate(starts) if start <= max(0, place - len(lead)))
            tokens.append(Token(token, owners[unit], unit))
        return tuple(tokens)


def make_script(processor: WhisperProcessor, seed: int = 0) -> Script:
    """The small vocabulary of all languages: special tokens, then text, then the timestamps."""
    tokenizer = processor.tokenizer
    used: set[int] = {special_ids()[name] for name in NAMED}
    for text in _texts(random.Random(seed)):
        used.update(tokenizer.encode(text, add_special_tokens=False))
    first = special_ids()["0.00"]
    return Script(processor, [*sorted(used), *range(first, first + TIMESTAMPS)])


def _texts(chance: random.Random) -> Iterable[str]:
    yield from SIGNS
    for language in LANGUAGES.values():
        for word in (*language.words, *language.prompt_heads):
            for form in {word, word[0].upper() + word[1:]}:
                yield from (f" {form}", form) if language.joiner else (form, f" {form}", f"、{form}、")
        for _ in range(SAMPLED_SENTENCES):
            sentence = language.sentence(chance)
            spelling = {word: chance.randint(0, 1) for word in sentence if isinstance(word, int)}
            yield language.joiner + language.text(sentence, spelling)


def _owners(words: Sequence[str], *, spaced: bool) -> list[int]:
    """The number of the word that each unit belongs to."""
    return [number for number, word in enumerate(words) for _ in range(1 if spaced else len(word))]
