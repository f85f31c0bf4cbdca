"""Bonuses of the hotword trie against a reference that rescans the whole text."""

import random

import pytest

from endpoint.trie import REWARDED_TOKENS, ROOT, Trie

BONUS = 1.5


def path_score(trie: Trie, tokens: list[int], *, hand_back: bool = True) -> float:
    """What a decoder would add up along `tokens`."""
    total, state = 0.0, ROOT
    for token in tokens:
        otherwise = -trie.pending(state) if hand_back else 0.0
        total += trie.bonuses(state, hand_back=hand_back).get(token, otherwise)
        state = trie.next(state, token)
    return total


def reference_score(sequences: list[tuple[int, ...]], tokens: list[int]) -> float:
    """Longest match, done naively: completed parts of a match are kept, the rest is handed back."""
    beginnings = {sequence[:size] for sequence in sequences for size in range(1, len(sequence) + 1)}
    total = 0.0
    match: tuple[int, ...] = ()
    for token in tokens:
        if (*match, token) not in beginnings:
            complete = max((size for size in range(len(match) + 1) if match[:size] in sequences), default=0)
            total -= worth(len(match)) - worth(complete)
            match = next(
                match[skip:] for skip in range(len(match) + 1) if restarts(match[skip:], token, beginnings)
            )
            total += worth(len(match))
        if (*match, token) in beginnings:
            match = (*match, token)
            total += worth(len(match)) - worth(len(match) - 1)
    return total


def restarts(suffix: tuple[int, ...], token: int, beginnings: set[tuple[int, ...]]) -> bool:
    return (*suffix, token) in beginnings or not suffix


def worth(length: int) -> float:
    return BONUS * min(length, REWARDED_TOKENS)


@pytest.mark.parametrize("seed", range(300))
def test_bonuses_equal_a_rescan_of_the_whole_text(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = chance.choice([2, 3, 5])
    sequences = [
        tuple(chance.randrange(alphabet) for _ in range(chance.randint(1, 6)))
        for _ in range(chance.randint(1, 6))
    ]
    trie = Trie((sequence, BONUS) for sequence in sequences)
    tokens = [chance.randrange(alphabet + 1) for _ in range(25)]
    for length in range(len(tokens)):
        assert path_score(trie, tokens[:length]) == pytest.approx(reference_score(sequences, tokens[:length]))


def test_a_broken_word_gains_nothing() -> None:
    trie = Trie([((1, 2, 3), BONUS)])
    assert path_score(trie, [1, 2, 9]) == 0
    assert path_score(trie, [1, 2]) == 2 * BONUS


def test_a_completed_word_keeps_its_bonus() -> None:
    trie = Trie([((1, 2, 3), BONUS)])
    assert path_score(trie, [1, 2, 3, 9, 9]) == 3 * BONUS


def test_a_completed_beginning_of_a_longer_word_keeps_its_bonus() -> None:
    trie = Trie([((1, 2), BONUS), ((1, 2, 3, 4), BONUS)])
    assert path_score(trie, [1, 2, 3, 9]) == 2 * BONUS


def test_a_match_goes_on_from_its_suffix() -> None:
    trie = Trie([((1, 2, 3), BONUS), ((2, 4), BONUS)])
    assert path_score(trie, [1, 2, 4]) == 2 * BONUS


def test_tokens_past_the_cap_earn_nothing() -> None:
    trie = Trie([(tuple(range(10)), BONUS)])
    assert path_score(trie, list(range(10))) == REWARDED_TOKENS * BONUS


def test_the_larger_of_two_bonuses_counts_on_shared_tokens() -> None:
    trie = Trie([((1, 2), 1.0), ((1, 3), 2.0)])
    assert path_score(trie, [1, 2]) == 3.0
    assert path_score(trie, [1, 3]) == 4.0


def test_without_hand_back_nothing_is_ever_taken() -> None:
    trie = Trie([((1, 2, 3), BONUS)])
    assert path_score(trie, [1, 2, 9], hand_back=False) == 2 * BONUS


def test_the_last_tokens_lead_to_the_state_of_the_whole_text() -> None:
    chance = random.Random(7)
    trie = Trie((tuple(chance.randrange(3) for _ in range(4)), BONUS) for _ in range(6))
    text = [chance.randrange(3) for _ in range(200)]
    assert all(trie.walk(text[:end]) == trie.walk(text[max(0, end - trie.depth) : end]) for end in range(200))
