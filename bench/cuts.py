"""Share of cuts inside a word: the chunker's own cuts against a cut every 30 seconds."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from bench.report import Figure, at_most, publish
from bench.speech import Speech, pink_noise, talk
from services.chunker import sandbox
from services.chunker.child import DecodeLimits
from services.chunker.chunks import ReadyChunk, Tools, chunks
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from services.contracts.inference import SAMPLE_RATE
from testmodel.speech import ESPEAK_RATE

WORK = Path(__file__).parent / "work"
TOLERANCE_SECONDS = 0.02
"""A cut this near to a word's edge harms nothing: word ends are known no better."""
TARGET_PERCENT = 1.0

CORPORA = {
    "pauses of 0.25-1.2 s": (3600, 2, (0.25, 1.2)),
    "pauses of 0.08-0.3 s": (1800, 3, (0.08, 0.3)),
}
"""Seconds, seed and pauses between sentences."""
NOISES: tuple[float | None, ...] = (None, 20.0, 10.0, 5.0)
"""Pink noise by its distance from the speech in dB; None for the clean signal."""

NOISE_SECONDS = 60
"""The noise repeats after that: one long transform would take gigabytes."""


async def main() -> None:
    """Measure every corpus in every noise; the corpus has the target, for one noise has few cuts."""
    WORK.mkdir(exist_ok=True)
    tools = Tools(model=SpeechModel(), spool=Spool(WORK, 10**9), limits=DecodeLimits(sandbox=sandbox.tried()))
    figures: list[Figure] = []
    everywhere: list[bool] = []
    for name, (seconds, seed, pauses) in CORPORA.items():
        speech = talk(seconds, seed, pauses)
        fixed = inside(np.arange(30.0, len(speech.signal) / ESPEAK_RATE, 30.0), speech, ESPEAK_RATE)
        figures.append(Figure(name=f"{name}, fixed 30 s ({len(fixed)} cuts)", value=percent(fixed), unit="%"))
        here: list[bool] = []
        for noise in NOISES:
            own = inside(await own_cuts(wav(speech, ESPEAK_RATE, noise), tools), speech, ESPEAK_RATE)
            place = f"{name}, {'clean' if noise is None else f'noise at {noise:g} dB'} ({len(own)} cuts)"
            figures.append(Figure(name=place, value=percent(own), unit="%"))
            here += own
        figures.append(at_most(f"{name}, all ({len(here)} cuts)", percent(here), TARGET_PERCENT, "%"))
        everywhere += here
    figures.append(at_most(f"all {len(everywhere)} cuts", percent(everywhere), TARGET_PERCENT, "%"))
    title = "Share of cuts strictly inside a word of synthetic speech (20 ms tolerance), by pauses and noise."
    publish("cuts", title, figures, ("silero-vad", "onnxruntime", "numpy"))


async def own_cuts(file: bytes, tools: Tools) -> list[float]:
    """Seconds at which the chunker ends or begins a chunk, the ends of the recording aside."""
    found = [item async for item in chunks(_pieces(file), tools) if isinstance(item, ReadyChunk)]
    places = {place for chunk in found for place in (chunk.start, chunk.end)}
    return sorted(place / SAMPLE_RATE for place in places - {0, found[-1].end})


def inside(cuts: Sequence[float] | np.ndarray, speech: Speech, rate: int) -> list[bool]:
    """For each cut whether it falls into a word."""
    begins = np.array([begin for begin, _ in speech.words]) / rate
    ends = np.array([end for _, end in speech.words]) / rate
    last = np.searchsorted(begins, cuts, side="right") - 1
    return [
        bool(place >= 0 and begins[place] + TOLERANCE_SECONDS < cut < ends[place] - TOLERANCE_SECONDS)
        for place, cut in zip(last, cuts, strict=True)
    ]


def percent(flags: Sequence[bool]) -> float:
    """Share of True."""
    return 100 * sum(flags) / max(1, len(flags))


def wav(speech: Speech, rate: int, noise_db: float | None) -> bytes:
    """The speech as a WAV file, with pink noise `noise_db` below the level of its words."""
    signal = speech.signal
    if noise_db is not None:
        spoken = np.concatenate([signal[begin:end] for begin, end in speech.words])
        level = np.float32(np.sqrt(np.mean(spoken**2)) * 10 ** (-noise_db / 20))
        signal = signal + level * np.resize(pink_noise(NOISE_SECONDS * rate, seed=7), len(signal))
        signal = 0.95 * signal / np.abs(signal).max()
    file = io.BytesIO()
    soundfile.write(file, signal, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 19):
        yield data[start : start + (1 << 19)]


if __name__ == "__main__":
    asyncio.run(main())
