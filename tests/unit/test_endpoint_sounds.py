"""What a batch's rows hear, as rows come and go."""

import pytest
import torch

from endpoint.decoder import Sound
from endpoint.sounds import BLOCK, Sounds, closed_up


@pytest.mark.parametrize(
    ("staying", "order"),
    [
        ([], []),
        ([True, True], [0, 1]),
        ([False, True, True], [2, 1]),
        ([True, False, True, False, True], [0, 4, 2]),
        ([False, False, True, True], [3, 2]),
        ([True, True, False], [0, 1]),
        ([False, False], []),
    ],
)
def test_the_last_rows_fill_the_gaps(staying: list[bool], order: list[int]) -> None:
    assert closed_up(staying) == order


def sound(number: int) -> Sound:
    """Of two layers, told apart by their values."""
    return [
        (torch.full((1, 2, 3, 4), number + layer / 2), torch.full((1, 2, 3, 4), -number - layer / 2))
        for layer in range(2)
    ]


def numbers(sounds: Sounds, first: int = 0) -> list[int]:
    """Which sounds there are, after a look at all their values."""
    found = [int(keys[0, 0, 0]) for keys in sounds.heard(first)[0][0]]
    for row, number in enumerate(found):
        for ours, theirs in zip(sounds.heard(first), sound(number), strict=True):
            assert torch.equal(ours[0][row], theirs[0][0])
            assert torch.equal(ours[1][row], theirs[1][0])
    return found


def test_rows_come_and_go() -> None:
    sounds = Sounds()
    sounds.join([sound(number) for number in (1, 2, 3)])
    assert numbers(sounds) == [1, 2, 3]
    sounds.keep(closed_up([False, True, True]))
    assert numbers(sounds) == [3, 2]
    sounds.join([sound(number) for number in range(4, 4 + BLOCK)])
    assert numbers(sounds) == [3, 2, *range(4, 4 + BLOCK)]
    assert numbers(sounds, first=2) == [*range(4, 4 + BLOCK)]
    sounds.keep([])
    sounds.join([sound(9)])
    assert numbers(sounds) == [9]


def test_what_joins_is_copied() -> None:
    """A text that is tried again hears its sound once more."""
    sounds, first, second = Sounds(), sound(1), sound(2)
    sounds.join([first])
    sounds.join([second])
    sounds.keep([1])
    assert float(first[0][0][0, 0, 0, 0]) == 1.0
    assert float(second[0][0][0, 0, 0, 0]) == 2.0
