"""The hotword automaton against a slow reader that knows no states and re-reads each text from its start."""

import random
from collections.abc import Sequence

import pytest

from endpoint.automaton import HOMES, MAX_EARNED, OUTSIDE, Automaton, Reward, compiled
from endpoint.wordpieces import WordPieces
from tests.hotword_reader import BONUS, CJK, LATIN, Reader, random_pieces, random_rewards, word


class Walk:
    """A decoder's walk through the arrays, a token at a time."""

    def __init__(self, automaton: Automaton, pieces: WordPieces) -> None:
        self._automaton = automaton
        self._pieces = pieces
        self.state = OUTSIDE
        self.total = 0.0

    def step(self, token: int) -> None:
        automaton, state = self._automaton, self.state
        home = int(automaton.inside[state])
        gain = -float(automaton.lost[state])
        gain -= float(automaton.lost_on[state]) if self._pieces.continues[token] else 0.0
        target = int(self._pieces.ends[token])
        for place in dict.fromkeys((home, state)):
            edge = self._edge(place, token)
            if edge is not None:
                gain += float(automaton.gains[edge])
                target = int(automaton.targets[edge])
        self.total += gain
        self.state = target

    @property
    def pending(self) -> float:
        return float(self._automaton.lost[self.state])

    def _edge(self, state: int, token: int) -> int | None:
        begin, end = self._automaton.first[state : state + 2]
        found = [edge for edge in range(begin, end) if self._automaton.tokens[edge] == token]
        assert len(found) <= 1
        return found[0] if found else None


@pytest.mark.parametrize("batch", range(20))
def test_every_step_equals_a_reading_of_the_whole_text(batch: int) -> None:
    """30 random lists each, of few tokens, so that words share beginnings, ends and middles."""
    for seed in range(batch * 30, batch * 30 + 30):
        chance = random.Random(seed)
        alphabet = chance.choice([2, 3, 5])
        rewards, pieces = random_rewards(chance, alphabet), random_pieces(chance)
        reader, steps = Reader(rewards, pieces), Walk(compiled(rewards, pieces), pieces)
        text: list[int] = []
        for _ in range(20):
            text.append(chance.randrange(alphabet + 1))
            steps.step(text[-1])
            assert steps.total == pytest.approx(reader.total(text), abs=1e-4), (seed, text, rewards)


def walk(rewards: Sequence[Reward], text: Sequence[int], pieces: WordPieces = CJK) -> Walk:
    steps = Walk(compiled(rewards, pieces), pieces)
    for token in text:
        steps.step(token)
    return steps


def test_a_broken_word_gains_nothing() -> None:
    assert walk([word(1, 2, 3)], [1, 2, 6]).total == 0
    assert walk([word(1, 2, 3)], [1, 2]).total == walk([word(1, 2, 3)], [1, 2]).pending == 2 * BONUS


def test_a_complete_word_keeps_its_bonus() -> None:
    steps = walk([word(1, 2, 3)], [1, 2, 3, 6, 6])
    assert (steps.total, steps.pending, steps.state) == (3 * BONUS, 0, OUTSIDE)


def test_a_complete_beginning_of_a_longer_word_keeps_its_bonus() -> None:
    assert walk([word(1, 2), word(1, 2, 3, 4)], [1, 2, 3, 6]).total == 2 * BONUS


def test_a_complete_word_within_a_broken_one_keeps_its_bonus() -> None:
    assert walk([word(1, 2, 3, 4), word(2, 3)], [1, 2, 3, 6]).total == 2 * BONUS


def test_a_match_goes_on_from_its_end() -> None:
    assert walk([word(1, 2, 3), word(2, 4)], [1, 2, 4]).total == 2 * BONUS


def test_a_long_word_earns_no_more_than_a_short_one_may() -> None:
    assert walk([word(*range(7))], range(7)).total == MAX_EARNED
    assert walk([word(0, 1, 2, bonus=4)], range(2)).total == MAX_EARNED


def test_a_word_earns_nothing_as_an_echo_of_itself() -> None:
    """A model that wrote a word where there was none writes it again and again."""
    assert walk([word(1, 2)], [1, 2, 1, 2]).total == 2 * BONUS
    assert walk([word(1, 2)], [1, 2, 6, 1, 2]).total == 4 * BONUS
    assert walk([word(1, 2), word(3, 4)], [1, 2, 3, 4]).total == 4 * BONUS
    assert walk([word(1, 2), word(1, 2, 1, 2)], [1, 2, 1, 2]).total == 4 * BONUS


def test_the_larger_of_two_bonuses_counts_on_shared_tokens() -> None:
    rewards = [word(1, 2, bonus=1), word(1, 3, bonus=2)]
    assert walk(rewards, [1, 2]).total == 3
    assert walk(rewards, [1, 3]).total == 4


def test_a_whole_word_that_goes_on_hands_everything_back() -> None:
    """Lynch, then Lynchburg, then Lynch's."""
    lynch = [word(2, 5, whole=True)]
    assert walk(lynch, [2, 5], LATIN).total == 2 * BONUS
    assert walk(lynch, [2, 5, 6], LATIN).total == 0
    assert walk(lynch, [2, 5, 0, 6], LATIN).total == 2 * BONUS


def test_a_whole_word_within_a_listed_longer_one_counts_as_the_longer_one() -> None:
    rewards = [word(2, 5, whole=True), word(2, 5, 6, 7, whole=True)]
    assert walk(rewards, [2, 5, 6, 7], LATIN).total == 4 * BONUS
    assert walk(rewards, [2, 5, 6, 0], LATIN).total == 0


def test_no_word_begins_in_the_middle_of_another() -> None:
    ingress = [word(5, 6)]
    assert walk(ingress, [5, 6], LATIN).total == 2 * BONUS
    assert walk(ingress, [2, 5, 6], LATIN).total == 0
    assert walk(ingress, [2, 0, 5, 6], LATIN).total == 2 * BONUS


def test_a_share_of_the_bonuses() -> None:
    automaton = compiled([word(1, 2), word(1, 2, 3, 4)], CJK)
    half = Walk(automaton.scaled(0.5), CJK)
    for token in (1, 2, 3):
        half.step(token)
    assert (half.total, half.pending) == (1.5 * BONUS, 0.5 * BONUS)


def test_states_grow_with_the_tokens_not_with_the_words_that_share_them() -> None:
    automaton = compiled([word(1, 2, last) for last in range(3, 8)], CJK)
    assert len(automaton.inside) == HOMES + 2 + 5
