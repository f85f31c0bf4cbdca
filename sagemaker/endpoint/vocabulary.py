"""The product with the vocabulary, the largest of a decoder step: 51,865 columns for every row."""

import torch
from torch import Tensor
from torch.nn.functional import linear

PACKED_FOR = 8
"""Rows that oneDNN lays the weights out for; more and fewer are as fast as with a layout of their own."""


class Vocabulary:
    """A CPU reads weights from memory longer than it computes, so it gets them in the order it reads them.

    MKL copies them into that order at each product. Packed once by oneDNN, large-v3-turbo's take a third
    of the time with 4 to 8 rows and less than half with 16. One row is quickest with them transposed.
    Both are copies: 265 MB each for the large models. In half precision torch asks oneDNN of its own accord.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight.detach()
        self._packs = weight.device.type == "cpu" and weight.dtype is torch.float32 and _has_onednn()
        if self._packs:
            self._transposed = self._weight.T.contiguous()
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight, PACKED_FOR)

    def scores(self, x: Tensor) -> Tensor:
        """Logits (rows, vocabulary) of the last layer's states (rows, width)."""
        if not self._packs:
            return linear(x, self._weight)
        if len(x) == 1:
            return x @ self._transposed
        scores: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, None, "none", [], "")
        return scores


def _has_onednn() -> bool:
    """Not on every system that torch runs on: macOS has none."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # it has no annotations
