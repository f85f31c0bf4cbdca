"""Clips of English speech through every engine, all on one thread of the same machine, round after round."""

import random
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from bench.endpoint.engines import Arm
from bench.report import Figure, Table, at_least
from endpoint.audio import Samples
from services.contracts.inference import SAMPLE_RATE
from testmodel.recordings import record
from tests.speech import word_error_rate

TOGETHER = (1, 4, 8, 16)
SENTENCES = 6
SPLIT = "test"
SEED = 40_000
OWN = "this container's engine"
SERVED = "this container over HTTP"
BEST_RATIO = 1.0
TOGETHER_RATIO = 1.5


class Clip(msgspec.Struct, frozen=True):
    """Up to 30 s, and what is said in them."""

    samples: Samples
    text: str


class Taken(msgspec.Struct, frozen=True):
    """One engine with so many clips at once."""

    peer: bool
    seconds: float
    """Processor seconds for all clips: median of the rounds."""
    errors: float
    """Word error rate."""


Results = Mapping[tuple[str, int], Taken]


def clips(count: int) -> list[Clip]:
    """Sentences that the model has not seen in training, with pauses and noise."""
    recordings = [
        record("en", SPLIT, SENTENCES, "loose", random.Random(SEED + number)) for number in range(count)
    ]
    return [Clip(recording.samples, recording.text) for recording in recordings]


def measured(arms: Sequence[Arm], said: Sequence[Clip], rounds: int) -> Results:
    """All engines in turns, after a clip each to warm up."""
    cases = [(arm, together) for arm in arms for together in arm.together]
    seconds: list[list[float]] = [[] for _ in cases]
    errors = [0.0 for _ in cases]
    for arm in arms:
        arm.texts([said[0].samples], 1)
    for _ in range(rounds):
        for number, (arm, together) in enumerate(cases):
            taken, errors[number] = _timed(arm, together, said)
            seconds[number].append(taken)
            print(f"{arm.name}, {together} at once: {taken:.2f} s", flush=True)
    return {
        (arm.name, together): Taken(arm.peer, statistics.median(taken), wrong)
        for (arm, together), taken, wrong in zip(cases, seconds, errors, strict=True)
    }


def _timed(arm: Arm, together: int, said: Sequence[Clip]) -> tuple[float, float]:
    """Processor seconds and word error rate."""
    begun = arm.clock()
    texts = arm.texts([clip.samples for clip in said], together)
    taken = arm.clock() - begun
    return taken, word_error_rate(" ".join(clip.text for clip in said), " ".join(texts))


def figures(found: Results) -> list[Figure]:
    """Ratios of throughput."""
    return [
        *(_beside_peers(found, together) for together in TOGETHER),
        *(
            at_least(
                f"{name}, {TOGETHER[-1]} at once over one at a time",
                found[name, 1].seconds / found[name, TOGETHER[-1]].seconds,
                TOGETHER_RATIO,
                "x",
            )
            for name in (OWN, SERVED)
        ),
    ]


def _beside_peers(found: Results, together: int) -> Figure:
    """The best peer with as many clips at once, or with fewer."""
    name, seconds = min(
        ((name, taken.seconds) for (name, count), taken in found.items() if taken.peer and count <= together),
        key=lambda each: each[1],
    )
    ratio = seconds / found[OWN, together].seconds
    return at_least(f"{OWN}, {together} at once, over the best peer ({name})", ratio, BEST_RATIO, "x")


def table(found: Results, said: Sequence[Clip]) -> Table:
    """Every engine at every number of clips."""
    length = sum(len(clip.samples) for clip in said) / SAMPLE_RATE
    return Table(
        title=(
            f"Throughput of {len(said)} clips ({length:.0f} s of speech) with the bundled model: fp32, "
            "greedy, with timestamps, one thread. Ours alone listens again to a long rest of a "
            "clip, and tries an implausible text again."
        ),
        heads=("engine", "at once", "audio seconds a processor second", "word errors (%)"),
        rows=tuple(
            (name, str(together), f"{length / taken.seconds:.1f}", f"{100 * taken.errors:.1f}")
            for (name, together), taken in found.items()
        ),
    )
