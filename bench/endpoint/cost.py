"""What hotwords add to a decoder step of large-v3-turbo's shape: eight rows, each with a list of its own."""

import random
from collections.abc import Callable, Sequence

import msgspec
import torch
from transformers import SequenceBiasLogitsProcessor

from bench.endpoint.shapes import VOCABULARY, Shape, whisper
from bench.endpoint.timing import Work, interleaved
from bench.report import Figure, Table, at_most
from bench.speech import sentences
from endpoint.automaton import Automaton
from endpoint.biasing import Bias
from endpoint.decoder import Decoder
from endpoint.decoding import Batch, Row
from endpoint.model import WhisperModel
from endpoint.steering import biased, spellings
from endpoint.wordpieces import WordPieces
from services.contracts.hotwords import DEFAULT_BOOST, HotwordMethod, Hotwords
from services.contracts.inference import Task
from services.dev.local import BUNDLED_MODEL

ROWS = 8
BEAMS = 2
SIZES = (0, 10, 100, 1_000, 10_000)
TARGET_SIZE = 1_000
TARGET_PERCENT = {"cpu": 1.0, "cuda": 2.0}
WARM_STEPS = 3
CONTEXT = 32
"""Tokens before the one that is biased."""
HEADS = (
    "words a row",
    "step without (ms)",
    "step with",
    "bias alone (ms)",
    "of a step",
    "sequence_bias (ms)",
    "of a step",
)


class Cost(msgspec.Struct, frozen=True):
    """Median seconds."""

    words: int
    plain: float
    """A step with as many beams and no hotwords."""
    steered: float
    """The same with them."""
    alone: float = 0.0
    """What they add to it, taken by itself: copy, add, follow the beams, advance."""
    sequence_bias: float = 0.0
    """transformers' processor for one list that all rows share."""


class Desk:
    """A decoder with random weights, what its rows hear, and a real tokenizer."""

    def __init__(self, shape: Shape, device: torch.device) -> None:
        self.device = device
        self.model = WhisperModel(str(BUNDLED_MODEL), device="cpu", threads=1, local_only=True)
        self.pieces: WordPieces = self.model.pieces()
        kind = torch.float16 if device.type == "cuda" else torch.float32
        only_one = msgspec.structs.replace(shape, encoder_layers=1)
        self.decoder = Decoder(whisper(only_one, device, kind))
        self._sounds = [
            self.decoder.sound(torch.randn(1, 1500, shape.width, device=device, dtype=kind))
            for _ in range(ROWS)
        ]

    def batch(self, automata: Sequence[Automaton | None]) -> Batch:
        """Eight rows after a few steps: each has all its beams by then."""
        batch = Batch(self.decoder, self.model.marks, self.pieces)
        prefix = self.model.prefix("en", Task.TRANSCRIBE, ())
        batch.join(
            [
                (number, Row(prefix=prefix, sound=sound, automaton=automaton, beams=BEAMS))
                for number, (sound, automaton) in enumerate(zip(self._sounds, automata, strict=True))
            ]
        )
        for _ in range(WARM_STEPS):
            batch.step()
        return batch

    def automaton(self, words: Sequence[str]) -> Automaton | None:
        hotwords = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=tuple(words), boost_factor=DEFAULT_BOOST)
        return biased(hotwords, self.model.tokenize, self.pieces).automaton if words else None

    def alone(self, automata: Sequence[Automaton | None], lists: Sequence[Sequence[str]]) -> Work:
        """What a step does for hotwords only, every hypothesis in the middle of a word of its list."""
        bias = Bias(self.device, self.pieces)
        bias.join([automaton for automaton in automata for _ in range(BEAMS)])
        logits = torch.randn(ROWS * BEAMS, VOCABULARY, device=self.device)
        parents = torch.arange(ROWS * BEAMS, device=self.device)
        following = self._following(lists)

        def work() -> None:
            bias.add(logits.clone())
            bias.select(parents)
            bias.advance(following())

        return work

    def _following(self, lists: Sequence[Sequence[str]]) -> Callable[[], torch.Tensor]:
        spoken = [
            [token for tokens in self.model.tokenize([" " + word for word in words]) for token in tokens]
            for words in lists
            for _ in range(BEAMS)
        ]
        place = 0

        def following() -> torch.Tensor:
            nonlocal place
            place += 1
            return torch.tensor([tokens[place % len(tokens)] for tokens in spoken], device=self.device)

        return following

    def sequence_bias(self, words: Sequence[str]) -> Work:
        """The peer's processor with one list, spelled as ours are."""
        texts = [text for word in words for text, _ in spellings(word)]
        sequences = [[tokens, DEFAULT_BOOST] for tokens in self.model.tokenize(texts)]
        process = SequenceBiasLogitsProcessor(sequences)  # type: ignore[arg-type]  # a list of two is its form
        read = torch.randint(0, 50_000, (ROWS * BEAMS, CONTEXT), device=self.device)
        logits = torch.randn(ROWS * BEAMS, VOCABULARY, device=self.device)
        process(read, logits)  # builds its tables
        return lambda: process(read, logits)


@torch.inference_mode()
def costs(desk: Desk, sizes: Sequence[int], rounds: int) -> list[Cost]:
    """One for each length of the lists."""
    return [_cost(desk, size, rounds) for size in sizes]


def _cost(desk: Desk, size: int, rounds: int) -> Cost:
    lists = [phrases(size, seed) for seed in range(ROWS)]
    automata = [desk.automaton(words) for words in lists]
    plain, steered = desk.batch([None] * ROWS), desk.batch(automata)
    works: dict[str, Work] = {"plain": plain.step, "steered": steered.step}
    if size:
        works |= {"alone": desk.alone(automata, lists), "sequence_bias": desk.sequence_bias(lists[0])}
    return Cost(size, **interleaved(works, rounds, desk.device))


def phrases(count: int, seed: int) -> list[str]:
    """Different pairs of words in capitals, as names have them: some four tokens each."""
    words = sorted({word.capitalize() for text in sentences() for word in text.split() if word.isalpha()})
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[f"{chance.choice(words)} {chance.choice(words)}"] = None
    return list(found)


def figures(found: Sequence[Cost], device: torch.device) -> list[Figure]:
    """The target is about the hotwords' own work: steps as a whole vary by more than it."""
    return [
        at_most(
            f"hotwords' share of a decoder step, {cost.words:,} words in each of {ROWS} rows, {device.type}",
            100 * cost.alone / cost.plain,
            TARGET_PERCENT[device.type],
            "%",
        )
        for cost in found
        if cost.words == TARGET_SIZE
    ]


def table(found: Sequence[Cost], device: torch.device) -> Table:
    """All lengths, beside the peer."""
    return Table(
        title=(
            f"Cost of hotwords ({device.type}), {ROWS} rows of {BEAMS} beams with a list each; "
            "`sequence_bias` has one list for all."
        ),
        heads=HEADS,
        rows=tuple(_line(cost) for cost in found),
    )


def _line(cost: Cost) -> tuple[str, ...]:
    with_them = f"{cost.steered / cost.plain:.3f} x"
    head = (f"{cost.words:,}", f"{1000 * cost.plain:.1f}", with_them)
    if not cost.words:
        return (*head, "", "", "", "")
    return (*head, *_share(cost.alone, cost.plain), *_share(cost.sequence_bias, cost.plain))


def _share(seconds: float, step: float) -> tuple[str, str]:
    return f"{1000 * seconds:.2f}", f"{100 * seconds / step:.2f} %"
