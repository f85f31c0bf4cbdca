"""A slow reader of hotwords that knows no states, and random lists and vocabularies to try it on."""

import random
from collections.abc import Sequence

import numpy as np

from endpoint.automaton import MAX_EARNED, Reward
from endpoint.wordpieces import WordPieces

BONUS = 1.5
VOCABULARY = 8
CJK = WordPieces(np.zeros(VOCABULARY, bool), np.zeros(VOCABULARY, bool))
"""No token says anything about spaced words."""
LATIN = WordPieces(np.arange(VOCABULARY) >= 5, np.arange(VOCABULARY) >= 2)
"""Tokens 5 to 7 go on with a spaced word; 2 to 4 begin one, as with a space; 0 and 1 are no letters."""


class Reader:
    """What the automaton's docstring says, word for word, each text from its beginning."""

    def __init__(self, rewards: Sequence[Reward], pieces: WordPieces) -> None:
        self._rewards = rewards
        self._pieces = pieces
        self._words = {
            reward.tokens: all(other.whole for other in rewards if other.tokens == reward.tokens)
            for reward in rewards
        }
        self._beginnings = {word[:size] for word in self._words for size in range(len(word) + 1)}

    def total(self, text: Sequence[int]) -> float:
        """What a decoder has added up along a text."""
        banked, begin = 0.0, 0
        for end in range(1, len(text) + 1):
            moved = next(start for start in range(begin, end + 1) if self._matches(text[:end], start))
            banked += self._kept(text[:end], begin, moved)
            echo = moved == end - 1 and self._echoes(tuple(text[begin:moved]), text[moved])
            begin = end if echo else moved
        return banked + max(self._earned(tuple(text[begin:])), self._kept(text, begin, len(text)))

    def _matches(self, text: Sequence[int], start: int) -> bool:
        return tuple(text[start:]) in self._beginnings and self._may_begin(text, start)

    def _echoes(self, match: tuple[int, ...], token: int) -> bool:
        return match in self._words and match[0] == token

    def _may_begin(self, text: Sequence[int], start: int) -> bool:
        inside = 0 < start < len(text) and self._pieces.ends[text[start - 1]]
        return not (inside and self._pieces.continues[text[start]])

    def _kept(self, text: Sequence[int], begin: int, end: int) -> float:
        """The best sum of complete words between two places, none overlapping."""
        best = [0.0] * (end + 1)
        for start in reversed(range(begin, end)):
            ends = [stop for stop in range(start + 1, end + 1) if self._complete(text, start, stop)]
            best[start] = max(
                best[start + 1], *(self._earned(tuple(text[start:stop])) + best[stop] for stop in ends), 0.0
            )
        return best[begin]

    def _complete(self, text: Sequence[int], start: int, stop: int) -> bool:
        word = tuple(text[start:stop])
        goes_on = stop < len(text) and self._pieces.continues[text[stop]]
        return word in self._words and self._may_begin(text, start) and not (goes_on and self._words[word])

    def _earned(self, beginning: tuple[int, ...]) -> float:
        bonuses = (
            max(reward.bonus for reward in self._rewards if reward.tokens[:size] == beginning[:size])
            for size in range(1, len(beginning) + 1)
        )
        return min(sum(bonuses), MAX_EARNED)


def word(*tokens: int, bonus: float = BONUS, whole: bool = False) -> Reward:
    return Reward(tokens, bonus, whole)


def random_rewards(chance: random.Random, alphabet: int) -> list[Reward]:
    return [
        Reward(
            tuple(chance.randrange(alphabet) for _ in range(chance.randint(1, 6))),
            chance.choice([BONUS, BONUS / 2, 2 * BONUS]),
            chance.random() < 0.5,
        )
        for _ in range(chance.randint(1, 7))
    ]


def random_pieces(chance: random.Random) -> WordPieces:
    continues, ends = (np.array([chance.random() < 0.4 for _ in range(VOCABULARY)]) for _ in range(2))
    return WordPieces(continues, ends)
