"""Times of words from attention made by hand."""

import pytest
import torch

from endpoint.alignment import apart, token_times
from endpoint.transcript import Phrase


@pytest.mark.parametrize("start", [0.0, 0.58, 1.16])  # 0.58 / 0.02 is a little under 29
def test_a_token_begins_where_the_model_looks_when_it_writes_it(start: float) -> None:
    phrase = Phrase(start=start, end=start + 0.8, first=1, tokens=(5, 6))
    attention = torch.full((2, 3, 1500), 1e-3)
    middle = round(start / 0.02) + 20
    attention[:, 1, middle - 20 : middle] = 1.0
    attention[:, 2, middle : middle + 20] = 1.0
    assert token_times(attention, phrase) == pytest.approx([start, start + 0.4, start + 0.8])


def test_what_is_too_short_to_align_is_shared_evenly() -> None:
    phrase = Phrase(start=1.0, end=1.1, first=0, tokens=(5, 6))
    assert token_times(torch.rand(2, 2, 1500), phrase) == pytest.approx([1.0, 1.05, 1.1])


@pytest.mark.parametrize(
    ("bounds", "moved"),
    [
        ([0.0, 0.5, 1.0], [0.0, 0.5, 1.0]),
        ([0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.52, 1.0]),
        ([0.0, 1.0, 1.0, 1.0], [0.0, 0.96, 0.98, 1.0]),
        ([0.0, 0.0, 0.0, 1.0], [0.0, 0.02, 0.04, 1.0]),
        ([2.0, 2.01, 2.01, 2.03], [2.0, 2.01, 2.02, 2.03]),
        ([0.0, 0.3], [0.0, 0.3]),
    ],
)
def test_every_word_lasts(bounds: list[float], moved: list[float]) -> None:
    assert apart(bounds) == pytest.approx(moved)
