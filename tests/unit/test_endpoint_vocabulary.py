"""The product with the vocabulary, whose weights are laid out for the processor."""

from collections.abc import Iterator

import pytest
import torch

from endpoint.vocabulary import Vocabulary


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 33])
def test_scores_are_the_plain_product_for_any_number_of_rows(rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight = torch.randn(51_865, 128, generator=generator)
    x = torch.randn(rows, 128, generator=generator)
    scores = Vocabulary(weight).scores(x)
    assert torch.allclose(scores.double(), x.double() @ weight.double().T, atol=1e-4)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_gives_the_plain_product_in_it(precision: torch.dtype) -> None:
    weight, x = torch.randn(1_000, 128).to(precision), torch.randn(4, 128).to(precision)
    scores = Vocabulary(weight).scores(x)
    assert scores.dtype is precision
    assert torch.equal(scores, torch.nn.functional.linear(x, weight))


def test_a_row_without_numbers_leaves_the_others_alone() -> None:
    weight, x = torch.randn(1_000, 16), torch.randn(4, 16)
    x[2] = torch.nan
    scores = Vocabulary(weight).scores(x)
    assert scores[2].isnan().all()
    assert scores[[0, 1, 3]].isfinite().all()
