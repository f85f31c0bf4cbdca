"""A GPU with large-v3-turbo's shape and random weights: every window gets the same number of tokens."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch

from bench.endpoint.engines import transformers_pipeline
from bench.endpoint.shapes import Shape, stored
from bench.endpoint.timing import Work, interleaved
from bench.report import Figure, Table, at_least
from endpoint.audio import Samples
from endpoint.decoding import Batch, Row
from endpoint.engine import HEARD_TOGETHER
from endpoint.model import WhisperModel
from services.contracts.inference import SAMPLE_RATE, Task

SECONDS = 30
TOGETHER = (1, 8, 16, 32)
TOKENS = 100
"""Of a window of ordinary speech, timestamps included."""
PEER_RATIO = 1.5
TOGETHER_RATIO = 6.0
CONCURRENT = 16
HEADS = ("windows at once", "ours", "transformers' pipeline", "roofline")


class Roof(msgspec.Struct, frozen=True):
    """What the device can do at most, measured."""

    operations: float
    """Floating-point operations a second of a large product of matrices."""
    values: float
    """Numbers a second that come from its memory."""


class Speed(msgspec.Struct, frozen=True):
    """Audio seconds a second, with so many windows at once."""

    together: int
    ours: float
    peer: float
    roof: float


def bound(shape: Shape, together: int, tokens: int, roof: Roof) -> float:
    """Audio seconds a second that no engine exceeds: windows encoded, each step's weights and sounds read."""
    encode = together * shape.encoder_operations / roof.operations
    read = (shape.decoder_values + together * shape.sound_values) / roof.values
    compute = 2 * together * shape.decoder_values / roof.operations
    return SECONDS * together / (encode + tokens * max(read, compute))


def roof(device: torch.device, kind: torch.dtype, size: int) -> Roof:
    """From the product of two (size, size) matrices, and from a copy of 16 times as much."""
    one, other = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    much, copied = (torch.zeros(16 * size * size, device=device, dtype=kind) for _ in range(2))
    taken = interleaved({"product": lambda: one @ other, "copy": lambda: copied.copy_(much)}, 10, device)
    return Roof(operations=2 * size**3 / taken["product"], values=2 * len(much) / taken["copy"])


def ours(model: WhisperModel) -> Callable[[Sequence[Samples], int], None]:
    """Hear and write as the engine does, but for the same number of tokens each: noise knows no end."""
    batch = Batch(model.decoder, model.marks, model.pieces())
    prefix = model.prefix("en", Task.TRANSCRIBE, ())

    @torch.inference_mode()
    def write(windows: Sequence[Samples], tokens: int) -> None:
        for first in range(0, len(windows), HEARD_TOGETHER):
            heard = model.hear([(window, "en") for window in windows[first : first + HEARD_TOGETHER]])
            batch.join(
                [(first + number, Row(prefix=prefix, sound=each.sound)) for number, each in enumerate(heard)]
            )
        for _ in range(tokens):
            batch.step()
        batch.clear()

    return write


def speeds(
    shape: Shape, device: torch.device, together: Sequence[int], tokens: int, *, rounds: int, size: int
) -> list[Speed]:
    """Both engines in turns at every number of windows; `size` of the matrices that measure the roof."""
    kind = torch.float16 if device.type == "cuda" else torch.float32
    with tempfile.TemporaryDirectory() as folder:
        stored(shape, Path(folder), device, kind)
        write = ours(WhisperModel(folder, device=device.type, threads=1, local_only=True))
        # Without timestamps: noise with them makes it hear a window several times.
        peer = transformers_pipeline(
            Path(folder), device, kind, timestamps=False, min_new_tokens=tokens, max_new_tokens=tokens
        )
    most = roof(device, kind, size)
    found = []
    for count in together:
        windows = [_noise(number) for number in range(count)]
        works: dict[str, Work] = {
            "ours": lambda windows=windows: write(windows, tokens),  # type: ignore[misc]  # bound early
            "peer": lambda windows=windows: peer(windows, len(windows)),  # type: ignore[misc]  # bound early
        }
        interleaved(works, 1, device)
        taken = interleaved(works, rounds, device)
        audio = SECONDS * count
        found.append(
            Speed(count, audio / taken["ours"], audio / taken["peer"], bound(shape, count, tokens, most))
        )
    return found


def _noise(seed: int) -> Samples:
    return np.random.default_rng(seed).standard_normal(SECONDS * SAMPLE_RATE).astype(np.float32) * np.float32(
        0.1
    )


def figures(found: Sequence[Speed]) -> list[Figure]:
    """The targets of a GPU."""
    by_count = {speed.together: speed for speed in found}
    return [
        *(
            at_least(
                f"GPU, {speed.together} at once over transformers' pipeline",
                speed.ours / speed.peer,
                PEER_RATIO,
                "x",
            )
            for speed in found
        ),
        at_least(
            f"GPU, {CONCURRENT} at once over one at a time",
            by_count[CONCURRENT].ours / by_count[1].ours,
            TOGETHER_RATIO,
            "x",
        ),
    ]


def table(found: Sequence[Speed]) -> Table:
    """Audio seconds a second; without a GPU a line that says so."""
    title = (
        f"GPU: audio seconds a second, large-v3-turbo's shape with random weights, {TOKENS} tokens a window, "
        "fp16 and SDPA in both. The roofline is what this device's own speed of products and copies allows."
    )
    rows = [
        (str(speed.together), f"{speed.ours:.0f}", f"{speed.peer:.0f}", f"{speed.roof:.0f}")
        for speed in found
    ]
    return Table(title=title, heads=HEADS, rows=tuple(rows) or (("not measured: no GPU", "", "", ""),))
