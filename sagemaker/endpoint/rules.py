"""Which tokens may come next: Whisper's grammar of timestamps, for many hypotheses at once.

The rules are those of openai/whisper's decoding.py: timestamps come in pairs around text, never
decrease, the first one is near the window's start, and where all timestamps together are likelier
than any single text token, a timestamp it is.
"""

from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor

from endpoint.marks import Marks


class Allowed(msgspec.Struct, frozen=True):
    """What one hypothesis may write next."""

    text_from: int
    """Lowest token id below the timestamps that is allowed: 0, end-of-text, or the first timestamp's."""
    earliest: int
    latest: int
    """Timestamps allowed, counted in steps of 20 ms from `<|0.00|>`; none if earliest > latest."""


def allowed(tokens: Sequence[int], marks: Marks) -> Allowed:
    """The rules after the tokens written so far in this window."""
    first, last_step = marks.first_timestamp, marks.timestamps - 1
    if not tokens:
        return Allowed(first, 0, min(marks.latest_start, last_step))
    if tokens[-1] < first:
        return Allowed(0, _latest(tokens, first) + 1, last_step)
    opens = len(tokens) < 2 or tokens[-2] >= first
    if opens:
        return Allowed(0, marks.timestamps, last_step)
    return Allowed(marks.end_of_text, tokens[-1] - first, last_step)


def _latest(tokens: Sequence[int], first: int) -> int:
    """The last timestamp written, in steps; -1 if there is none."""
    return next((token - first for token in reversed(tokens) if token >= first), -1)


class Rules:
    """The rules of one model on its device."""

    def __init__(self, marks: Marks, device: torch.device) -> None:
        self._first = marks.first_timestamp
        self._marks = marks
        self._device = device
        self._never = torch.tensor(sorted({*marks.suppressed, self._first - 1}), device=device)
        self._steps = torch.arange(marks.timestamps, device=device)

    def apply(self, logits: Tensor, written: Sequence[Sequence[int]]) -> None:
        """Turn logits (hypotheses, vocabulary) into log-probabilities over what is allowed, in place."""
        rules = [allowed(tokens, self._marks) for tokens in written]
        text, times = logits[:, : self._first], logits[:, self._first :]
        logits.index_fill_(1, self._never, -torch.inf)
        for row, rule in enumerate(rules):
            if rule.text_from:
                text[row, : rule.text_from] = -torch.inf
        bounds = torch.tensor([[rule.earliest, rule.latest] for rule in rules], device=self._device)
        times.masked_fill_((self._steps < bounds[:, :1]) | (self._steps > bounds[:, 1:]), -torch.inf)
        in_text, in_times = text.logsumexp(1), times.logsumexp(1)
        time_wins = in_times > text.amax(1)
        total = torch.where(time_wins, in_times, torch.logaddexp(in_text, in_times))
        times -= total[:, None]
        text -= total.masked_fill(time_wins, torch.inf)[:, None]
