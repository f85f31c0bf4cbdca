"""When each word was said, from the attention the model paid to the sound while writing it."""

from collections.abc import Sequence

import torch
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from endpoint.transcript import Phrase

SECONDS_PER_POSITION = 0.02
MEDIAN_POSITIONS = 7
"""Width of the smoothing, as in openai/whisper's timing."""


def token_times(attention: torch.Tensor, phrase: Phrase) -> list[float]:
    """Start (s) of each token of a phrase, and its end: one more than tokens, never decreasing.

    `attention` is (heads, tokens of the window, positions). Only the phrase's own tokens and its own
    stretch of sound are aligned: its times are already known, and the search stays small.
    """
    first = round(phrase.start / SECONDS_PER_POSITION)
    last = max(first + 1, round(phrase.end / SECONDS_PER_POSITION))
    weights = attention[:, phrase.span, first:last]
    if weights.shape[1] < 2 or weights.shape[2] <= MEDIAN_POSITIONS:
        return _evenly(phrase)
    spread, mean = torch.std_mean(weights, dim=-2, keepdim=True, correction=0)
    smooth = _median_filter((weights - mean) / (spread + 1e-9), MEDIAN_POSITIONS).mean(dim=0)
    token_of, position_of = _dynamic_time_warping(-smooth.double().cpu().numpy())
    starts: dict[int, float] = {}
    for token, position in zip(token_of.tolist(), position_of.tolist(), strict=True):
        starts.setdefault(token, phrase.start + position * SECONDS_PER_POSITION)
    return [*(starts[token] for token in range(len(phrase.tokens))), phrase.end]


def apart(bounds: Sequence[float]) -> list[float]:
    """Where words meet, never decreasing, moved as little as it takes for each word to last a position.

    The first and the last stay; between bounds that are too close for that, words share evenly.
    """
    least = min(SECONDS_PER_POSITION, (bounds[-1] - bounds[0]) / (len(bounds) - 1))
    moved = list(bounds)
    for place in range(1, len(moved) - 1):
        moved[place] = max(moved[place], moved[place - 1] + least)
    for place in reversed(range(1, len(moved) - 1)):
        moved[place] = min(moved[place], moved[place + 1] - least)
    return moved


def _evenly(phrase: Phrase) -> list[float]:
    """For a phrase of one token, or too short to align."""
    length = (phrase.end - phrase.start) / len(phrase.tokens)
    return [phrase.start + index * length for index in range(len(phrase.tokens) + 1)]
