"""A prefix trie over token sequences that rewards following them and takes back what breaking off has earned.

It is an Aho-Corasick automaton. Each step along a sequence earns that step's bonus. A completed sequence
keeps its bonuses; a broken one hands them back, so that no path gains from a word it never finishes.
Where the longest match breaks, the match continues with its longest suffix that still begins a sequence.
"""

from collections import deque
from collections.abc import Iterable, Mapping

ROOT = 0
REWARDED_TOKENS = 4
"""Later tokens of a sequence earn nothing: long words would otherwise win against clear speech."""

Reward = tuple[tuple[int, ...], float]
"""Token ids and the bonus (nats) of each of the first `REWARDED_TOKENS`."""


class Trie:
    """Built once from all sequences; states are small integers, `ROOT` the first."""

    def __init__(self, sequences: Iterable[Reward]) -> None:
        self._children: list[dict[int, int]] = [{}]
        self._bonus = [0.0]
        self._ends = [False]
        self.depth = 0
        for tokens, bonus in sequences:
            self._insert(tokens, bonus)
        self._suffix = [ROOT] * len(self._children)
        self._earned = [0.0] * len(self._children)
        self._kept = [0.0] * len(self._children)
        self._link()
        self._steps: dict[tuple[int, bool], dict[int, float]] = {}

    def _insert(self, tokens: tuple[int, ...], bonus: float) -> None:
        state = ROOT
        self.depth = max(self.depth, len(tokens))
        for position, token in enumerate(tokens):
            state = self._child(state, token)
            if position < REWARDED_TOKENS:
                self._bonus[state] = max(self._bonus[state], bonus)
        self._ends[state] = True

    def _child(self, state: int, token: int) -> int:
        child = self._children[state].get(token)
        if child is None:
            child = self._children[state][token] = len(self._children)
            self._children.append({})
            self._bonus.append(0.0)
            self._ends.append(False)
        return child

    def _link(self) -> None:
        """Breadth first: what each state has earned, and the longest suffix of it that is a state too."""
        queue = deque([ROOT])
        while queue:
            state = queue.popleft()
            for token, child in self._children[state].items():
                self._earned[child] = self._earned[state] + self._bonus[child]
                self._kept[child] = self._earned[child] if self._ends[child] else self._kept[state]
                if state != ROOT:
                    self._suffix[child] = self.next(self._suffix[state], token)
                queue.append(child)

    def next(self, state: int, token: int) -> int:
        """The state after `token`."""
        while token not in self._children[state] and state != ROOT:
            state = self._suffix[state]
        return self._children[state].get(token, ROOT)

    def walk(self, tokens: Iterable[int]) -> int:
        """The state after `tokens`; the last `depth` tokens of a text lead to the same state as all of it."""
        state = ROOT
        for token in tokens:
            state = self.next(state, token)
        return state

    def pending(self, state: int) -> float:
        """What breaking off at `state` hands back (nats)."""
        return self._earned[state] - self._kept[state]

    def bonuses(self, state: int, *, hand_back: bool) -> Mapping[int, float]:
        """The bonus of each token that begins or goes on with a sequence.

        With `hand_back` all other tokens are due `-pending(state)`, and a token that goes on only from a
        suffix of the match pays the rest of the match back; without it, what was earned stays earned.
        """
        if (state, hand_back) not in self._steps:
            self._steps[state, hand_back] = self._computed(state, self.pending(state) if hand_back else 0.0)
        return self._steps[state, hand_back]

    def _computed(self, state: int, paid: float) -> dict[int, float]:
        steps = {token: self._bonus[child] for token, child in self._children[state].items()}
        shorter = state
        while shorter != ROOT:
            shorter = self._suffix[shorter]
            for token, child in self._children[shorter].items():
                steps.setdefault(token, self._earned[child] - paid)
        return steps
