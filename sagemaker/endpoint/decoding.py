"""A running batch: rows join and leave between two tokens, and none changes another's text."""

import itertools
import math
from collections.abc import Iterator, Sequence

import msgspec
import torch
from prometheus_client import Counter, Histogram
from torch import Tensor

from endpoint.automaton import Automaton
from endpoint.biasing import Bias
from endpoint.decoder import Decoder, Layout, Memory, Sound, layout
from endpoint.hypotheses import Candidate, Hypothesis, candidates, choice
from endpoint.marks import Marks
from endpoint.rules import Rules
from endpoint.sounds import Sounds, closed_up
from endpoint.wordpieces import WordPieces

MAX_NEW_TOKENS = 224
"""Half the decoder's positions, as openai/whisper has it: a window that needs more is a loop."""

TOKENS = Counter("whisper_endpoint_tokens_total", "Tokens written, those of abandoned hypotheses included.")
ROWS = Histogram(
    "whisper_endpoint_batch_rows", "Windows decoded together in a step.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
DECODE_SECONDS = Histogram(
    "whisper_endpoint_decode_step_seconds",
    "Time of one token for the whole batch.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How to write one window's text."""

    prefix: tuple[int, ...]
    """Prompt, start, language and task."""
    sound: Sound
    """Of one row: what the decoder hears."""
    automaton: Automaton | None = None
    beams: int = 1
    temperature: float = 0.0
    """Above 0 tokens are drawn at random."""
    seed: int = 0
    """Of the draw: the same row gives the same text in any company."""

    @property
    def width(self) -> int:
        """Tokens to choose from after each hypothesis: one of them may be the end."""
        return self.beams + 1 if self.beams > 1 else 1


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: tokens without end-of-text, and the log-probability of each without bias."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    avg_logprob: float
    """NaN where the model's scores were no numbers, so that there is no text."""


class _Active:
    """A row that is being written."""

    def __init__(self, number: int, key: int, row: Row) -> None:
        self.number = number
        self.key = key
        self.row = row
        self.going = [Hypothesis()]
        self.ended: list[Hypothesis] = []
        self._random = torch.Generator().manual_seed(row.seed)

    @property
    def read(self) -> int:
        """Tokens the memory holds of it: all but the one to be read next."""
        return len(self.row.prefix) + len(self.going[0].tokens) - 1

    @property
    def next_tokens(self) -> list[int]:
        """The one to be read next, of each hypothesis."""
        return [[*self.row.prefix[-1:], *hypothesis.tokens][-1] for hypothesis in self.going]

    def decoded(self, positions: int) -> Decoded | None:
        """The outcome once there is one: enough endings, or no room for more."""
        full = not self.going or min(MAX_NEW_TOKENS, positions - len(self.row.prefix)) <= len(
            self.going[0].tokens
        )
        if not (full or self._enough):
            return None
        if not (self.ended or self.going):
            return Decoded(tokens=(), logprobs=(), avg_logprob=math.nan)
        best = max(self.ended or self.going, key=_score if self.row.automaton else _rank)
        return Decoded(tokens=best.tokens, logprobs=best.logprobs, avg_logprob=best.avg_logprob)

    @property
    def _enough(self) -> bool:
        """As many endings as beams; with a bias, one that no other text can overtake.

        Bonuses are sums: they count for less in a long text if scores are shared out over tokens, and a text
        that ends early would end the search before a better one.
        """
        if self.row.automaton:
            return bool(self.ended) and max(map(_score, self.ended)) >= max(map(_score, self.going))
        return len(self.ended) >= self.row.beams

    def drawn(self, scores: Tensor) -> int:
        """A token by its probability at the row's temperature; `scores` (vocabulary,) (Gumbel's trick)."""
        noise = torch.empty(len(scores)).exponential_(generator=self._random).log_().to(scores.device)
        return int((scores / self.row.temperature - noise).argmax())


class Batch:
    """Not thread-safe: one thread runs it, in inference mode."""

    def __init__(self, decoder: Decoder, marks: Marks, pieces: WordPieces) -> None:
        self._decoder = decoder
        self._marks = marks
        self._pieces = pieces
        self._rules = Rules(marks, decoder.device)
        self._numbers = itertools.count()
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self._bias = Bias(self._decoder.device, self._pieces)
        self._active: list[_Active] = []
        self._memory = Memory([], [])
        self._sounds = Sounds()
        self._at: Layout | None = None

    @property
    def keys(self) -> list[int]:
        """The rows in it, in the order in which they joined."""
        return [active.key for active in sorted(self._active, key=lambda active: active.number)]

    def join(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Read the rows' prefixes; they take part from the next step on."""
        prefixes = [row.prefix[:-1] or row.prefix for _, row in rows]
        width = max(map(len, prefixes))
        padded = [[*prefix, *[self._marks.end_of_text] * (width - len(prefix))] for prefix in prefixes]
        self._sounds.join([row.sound for _, row in rows])
        _, memory = self._decoder.read(self._tensor(padded), self._sounds.heard(len(self._active)))
        if self._active:
            self._memory.join(memory)
        else:
            self._memory = memory
        self._bias.join([row.automaton for _, row in rows])
        self._active += [_Active(next(self._numbers), key, row) for key, row in rows]
        self._at = self._layout()

    def drop(self, keys: set[int]) -> None:
        """Take rows out, unfinished."""
        if keys.isdisjoint(self.keys):
            return
        numbers = iter(range(self._memory.hypotheses))
        own = [(active.key, [next(numbers) for _ in active.going]) for active in self._active]
        self._go_on([[] if key in keys else hypotheses for key, hypotheses in own])

    @DECODE_SECONDS.time()
    def step(self) -> list[tuple[int, Decoded]]:
        """One token more for every row; returns the rows that ended with it."""
        ROWS.observe(len(self._active))
        tokens = [token for active in self._active for token in active.next_tokens]
        TOKENS.inc(len(tokens))
        lengths = [active.read for active in self._active for _ in active.going]
        self._memory.grow(max(lengths) + 1)
        logits = self._decoder.step(
            self._tensor(tokens), self._tensor(lengths), self._memory, self._sounds.heard(), self._at
        )
        return self._advanced(logits)

    def leading(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each row's key and the tokens of its best hypothesis so far."""
        for active in self._active:
            yield active.key, max(active.going, key=lambda hypothesis: hypothesis.score).tokens

    def _advanced(self, logits: Tensor) -> list[tuple[int, Decoded]]:
        """Choose the next tokens and carry everything that belongs to a hypothesis along."""
        found, index = self._candidates(logits), 0
        owed = self._bias.pending().tolist() if self._bias.active else None
        parents, done = list[list[int]](), list[tuple[int, Decoded]]()
        for active in self._active:
            row = [(index + number, hypothesis) for number, hypothesis in enumerate(active.going)]
            index += len(row)
            debts = owed if active.row.automaton else None
            chosen = choice(row, found, active.row.beams, self._marks, debts)
            active.going = [hypothesis for _, hypothesis in chosen.going]
            active.ended += chosen.ended
            if decoded := active.decoded(self._decoder.positions):
                done.append((active.key, decoded))
                parents.append([])
            else:
                parents.append([parent for parent, _ in chosen.going])
        self._go_on(parents)
        if tokens := [hypothesis.tokens[-1] for active in self._active for hypothesis in active.going]:
            self._bias.advance(self._tensor(tokens))
        return done

    def _candidates(self, logits: Tensor) -> list[list[Candidate]]:
        self._rules.apply(logits, [each.tokens for active in self._active for each in active.going])
        raw = logits
        if self._bias.active:
            logits = raw.clone()
            self._bias.add(logits)
        widths = [active.row.width for active in self._active for _ in active.going]
        found = candidates(raw, logits, widths)
        first = 0
        for active in self._active:
            if active.row.temperature:
                token = active.drawn(logits[first])
                found[first] = [Candidate(token, float(logits[first, token]), float(raw[first, token]))]
            first += len(active.going)
        return found

    def _go_on(self, parents: Sequence[Sequence[int]]) -> None:
        """Carry along what is kept for each row's hypotheses; a row without any leaves."""
        order = closed_up([bool(each) for each in parents])
        chosen = [parent for row in order for parent in parents[row]]
        if chosen != list(range(self._memory.hypotheses)):
            self._memory.select(self._tensor(chosen))
            self._bias.select(self._tensor(chosen))
        self._sounds.keep(order)
        self._active = [self._active[row] for row in order]
        self._at = self._layout()

    def _layout(self) -> Layout | None:
        return layout([len(active.going) for active in self._active], self._decoder.device)

    def _tensor(self, values: list[int] | list[list[int]]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._decoder.device)


def _score(hypothesis: Hypothesis) -> float:
    return hypothesis.score


def _rank(hypothesis: Hypothesis) -> float:
    return hypothesis.rank
