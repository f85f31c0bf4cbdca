"""The trie's bonuses as a transformers logits processor for one request, greedy or with beams."""

import torch
from transformers import LogitsProcessor

from endpoint.trie import Trie


class HotwordBias(LogitsProcessor):
    """Adds each row's bonuses to its scores, in nats.

    It runs after Whisper's own rules, so that a bonus never beats "here comes a timestamp" and a
    forbidden token stays forbidden. Rows are re-read at each step: beams may have been reordered.
    """

    def __init__(self, trie: Trie, begin: int, *, hand_back: bool) -> None:
        """`begin` is where generated tokens start; `hand_back` needs beams to make sense.

        With a single greedy row there is no other path to prefer: taking bonuses back there would only
        chain the row to the word it has begun.
        """
        self._trie = trie
        self._begin = begin
        self._hand_back = hand_back
        self._tensors: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`input_ids` (rows, length), `scores` (rows, vocabulary); returns new scores."""
        biased = scores.clone()
        start = max(self._begin, input_ids.shape[1] - self._trie.depth)
        for row, tokens in enumerate(input_ids[:, start:].tolist()):
            self._apply(biased[row], self._trie.walk(tokens))
        return biased

    def _apply(self, scores: torch.Tensor, state: int) -> None:
        tokens, bonuses = self._steps(state, scores.device)
        if self._hand_back:
            bonuses = bonuses + self._trie.pending(state)
            scores -= self._trie.pending(state)
        scores[tokens] += bonuses

    def _steps(self, state: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens with a bonus of their own at `state`, and those bonuses."""
        if state not in self._tensors:
            steps = self._trie.bonuses(state, hand_back=self._hand_back)
            tokens = torch.tensor(list(steps), device=device)
            self._tensors[state] = tokens, torch.tensor(list(steps.values()), device=device)
        return self._tensors[state]
