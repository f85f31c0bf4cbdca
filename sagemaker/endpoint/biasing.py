"""Hotword bonuses for all hypotheses of a running batch, each with the list of its own request or none."""

from collections.abc import Sequence
from itertools import accumulate
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from endpoint.automaton import HOMES, INSIDE, OUTSIDE, Automaton
from endpoint.wordpieces import WordPieces

NOTHING = -0.0
"""Added to a score it leaves every bit as it is; +0.0 would turn -0.0 around."""
LAST_KEY = torch.iinfo(torch.int64).max

NO_WORDS = Automaton(
    first=np.zeros(HOMES + 1, np.int64),
    tokens=np.zeros(0, np.int64),
    targets=np.zeros(0, np.int64),
    gains=np.zeros(0, np.float32),
    inside=np.array([OUTSIDE, INSIDE]),
    lost=np.zeros(HOMES, np.float32),
    lost_on=np.zeros(HOMES, np.float32),
)


class Bias:
    """Not thread-safe. Hypotheses are in the order of the batch's rows.

    The automata in use lie in flat tensors one after another. They are laid out anew when one joins that is
    not among them; those without a hypothesis are left out then. The device is waited for only there and
    where hypotheses go, not from step to step.
    """

    def __init__(self, device: torch.device, pieces: WordPieces) -> None:
        self._device = device
        self._pieces = pieces
        self._vocabulary = len(pieces.continues)
        self._continues = torch.from_numpy(pieces.continues).to(device, torch.float32)
        self._ends = torch.from_numpy(pieces.ends).to(device, torch.int64)
        self._placed: WeakKeyDictionary[Automaton, _Placed] = WeakKeyDictionary()
        self._lists = torch.zeros(0, dtype=torch.int64, device=device)
        self._states = torch.zeros(0, dtype=torch.int64, device=device)
        self._arrange([NO_WORDS])

    @property
    def active(self) -> bool:
        """Whether any hypothesis has a list."""
        return len(self._automata) > 1

    def join(self, automata: Sequence[Automaton | None]) -> None:
        """Append a hypothesis without text for each list, or for None."""
        joining = [automaton or NO_WORDS for automaton in automata]
        if any(automaton not in self._automata for automaton in joining):
            self._rearrange(joining)
        numbers = [self._automata.index(automaton) for automaton in joining]
        lists = torch.tensor(numbers, dtype=torch.int64, device=self._device)
        self._lists = torch.cat((self._lists, lists))
        self._states = torch.cat((self._states, self._outside[lists]))

    def select(self, parents: torch.Tensor) -> None:
        """Keep the hypotheses `parents` (any number, int64) in that order; one may be named twice."""
        fewer = len(parents) < len(self._lists)
        self._lists, self._states = self._lists[parents], self._states[parents]
        if fewer and self.active and not self._lists.any():
            self._arrange([NO_WORDS])

    def advance(self, tokens: torch.Tensor) -> None:
        """Append a token (n, int64) to each hypothesis."""
        outside = self._outside[self._lists]
        homes = outside + self._tables.inside[self._states]
        keys = torch.stack((self._states, homes)) * self._vocabulary + tokens
        at = torch.searchsorted(self._tables.keys, keys)
        found, targets = self._tables.keys[at] == keys, self._tables.targets[at]
        otherwise = torch.where(found[1], targets[1], outside + self._ends[tokens])
        self._states = torch.where(found[0], targets[0], otherwise)

    def add(self, scores: torch.Tensor) -> None:
        """Bias log-probabilities (n, vocabulary), float32, in place; without a list they stay as they are."""
        tables, states = self._tables, self._states
        scores.sub_(tables.lost[states][:, None])
        scores.addr_(tables.lost_on[states], self._continues, alpha=-1)
        homes = self._lists * HOMES + tables.inside[states]
        scores.scatter_add_(1, self._begins[self._lists], self._begin_gains[homes])
        edges = tables.first[states][:, None] + self._window
        gains = tables.gains[edges].where(self._window < tables.sizes[states][:, None], NOTHING)
        scores.scatter_add_(1, tables.tokens[edges], gains)

    def pending(self) -> torch.Tensor:
        """What each hypothesis (n,) hands back if its text ends here, nats."""
        return self._tables.lost[self._states]

    def _rearrange(self, joining: Sequence[Automaton]) -> None:
        """Lay out the lists in use and those that join, and renumber the hypotheses' states."""
        used = set(self._lists.tolist())
        before, states = self._automata, self._states - self._outside[self._lists]
        kept = [before[number] for number in sorted(used - {0})]
        self._arrange(list(dict.fromkeys((NO_WORDS, *kept, *joining))))
        numbers = [self._automata.index(one) if one in self._automata else 0 for one in before]
        self._lists = torch.tensor(numbers, device=self._device)[self._lists]
        self._states = states + self._outside[self._lists]

    def _arrange(self, automata: Sequence[Automaton]) -> None:
        self._automata = automata
        placed = [self._place(automaton) for automaton in automata]
        self._tables = _laid_out(placed, self._vocabulary)
        widest = max(one.widest for one in placed)
        self._window = torch.arange(widest, device=self._device)
        sizes = [len(automaton.inside) for automaton in automata]
        self._outside = torch.tensor([0, *accumulate(sizes[:-1])], device=self._device)
        self._begins = pad_sequence([one.begins for one in placed], batch_first=True)
        gains = [row for one in placed for row in one.begin_gains]
        self._begin_gains = pad_sequence(gains, batch_first=True, padding_value=NOTHING)

    def _place(self, automaton: Automaton) -> "_Placed":
        if automaton not in self._placed:
            self._placed[automaton] = _placed(automaton, self._pieces, self._device)
        return self._placed[automaton]


class _Tables(msgspec.Struct, frozen=True):
    """The arrays of an automaton, or of many end to end, on the device."""

    keys: torch.Tensor
    """(e,) `state * vocabulary + token`, ascending."""
    tokens: torch.Tensor
    targets: torch.Tensor
    gains: torch.Tensor
    first: torch.Tensor
    """(s,) each state's first edge ..."""
    sizes: torch.Tensor
    """(s,) ... and how many it has; 0 for homes, whose edges all states share."""
    inside: torch.Tensor
    lost: torch.Tensor
    lost_on: torch.Tensor


class _Placed(msgspec.Struct, frozen=True):
    """An automaton on the device."""

    tables: _Tables
    begins: torch.Tensor
    """(b,) the tokens that begin a hotword."""
    begin_gains: torch.Tensor
    """(2, b) what they earn outside a spaced word and inside one."""
    widest: int
    """Most edges of a state that is no home."""


def _placed(automaton: Automaton, pieces: WordPieces, device: torch.device) -> _Placed:
    sizes = np.diff(automaton.first)
    sizes[:HOMES] = 0
    states = np.repeat(np.arange(len(sizes)), np.diff(automaton.first))
    begins = automaton.tokens[: automaton.first[INSIDE]]
    gains = automaton.gains[: automaton.first[INSIDE]]
    begin_gains = np.stack((gains, np.where(pieces.continues[begins], np.float32(NOTHING), gains)))
    arrays = _Tables(
        *(
            torch.from_numpy(array).to(device)
            for array in (
                states * len(pieces.continues) + automaton.tokens,
                automaton.tokens,
                automaton.targets,
                automaton.gains,
                automaton.first[:-1],
                sizes,
                automaton.inside,
                automaton.lost,
                automaton.lost_on,
            )
        )
    )
    return _Placed(
        arrays,
        torch.from_numpy(begins).to(device),
        torch.from_numpy(begin_gains).to(device),
        int(sizes.max()),
    )


def _laid_out(placed: Sequence[_Placed], vocabulary: int) -> _Tables:
    """One after another, with edges at the end for windows that reach past the last state's."""
    parts = [one.tables for one in placed]
    states = [0, *accumulate(len(part.first) for part in parts)]
    edges = [0, *accumulate(len(part.keys) for part in parts)]
    spare = parts[0].keys.new_zeros(max(1, *(one.widest for one in placed), 0))
    return _Tables(
        keys=torch.cat(
            [*(p.keys + s * vocabulary for p, s in zip(parts, states, strict=False)), spare + LAST_KEY]
        ),
        tokens=torch.cat([*(part.tokens for part in parts), spare]),
        targets=torch.cat([*(p.targets + s for p, s in zip(parts, states, strict=False)), spare]),
        gains=torch.cat([*(part.gains for part in parts), spare.float()]),
        first=torch.cat([p.first + e for p, e in zip(parts, edges, strict=False)]),
        sizes=torch.cat([part.sizes for part in parts]),
        inside=torch.cat([part.inside for part in parts]),
        lost=torch.cat([part.lost for part in parts]),
        lost_on=torch.cat([part.lost_on for part in parts]),
    )
