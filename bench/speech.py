"""Speech whose word positions are known: espeak-ng's library reports where each word begins.

Word ends are where the clean signal falls silent; the texts are the licences every Debian carries.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from testmodel.speech import ESPEAK_RATE, espeak

VOICES = ("en-us", "en-us+m3", "en-us+m2", "en-us+f3", "en-us+m5", "en-us+f2", "en-us+m7", "en-us+f4")
LICENCES = Path("/usr/share/common-licenses")
AUDIBLE = 0.004
"""Amplitude above which a sample of the clean signal belongs to a word."""

Signal = NDArray[np.float32]


class Speech(msgspec.Struct, frozen=True):
    """A signal at `ESPEAK_RATE` and the (first, last + 1) samples of its words."""

    signal: Signal
    words: tuple[tuple[int, int], ...]


def say(text: str, voice: str, words_per_minute: int) -> Speech:
    """Speak `text`; silence before its first word and after its last one is cut off."""
    said = espeak().say_unresampled(text, voice, pace=words_per_minute)
    begins = sorted({int(seconds * ESPEAK_RATE) for _, seconds in said.words})
    return _trimmed(said.samples, list(_words(said.samples, begins)))


def sentences() -> list[str]:
    """Sentences of the licences, letters and punctuation only."""
    text = " ".join((LICENCES / name).read_text() for name in ("GPL-3", "Apache-2.0", "LGPL-3"))
    plain = re.sub(r"[^A-Za-z,.;:' ]", " ", re.sub(r"\s+", " ", text))
    return [f"{s.strip()}." for s in re.split(r"(?<=[a-z])\.\s", plain) if len(s.split()) > 3]


def talk(seconds: float, seed: int, pauses: tuple[float, float]) -> Speech:
    """Several voices reading at 140-200 words a minute, with `pauses` seconds between sentences."""
    chance = random.Random(seed)
    texts = sentences()
    place = chance.randrange(len(texts))
    signals: list[Signal] = []
    words: list[tuple[int, int]] = []
    length = 0
    voice, pace = "", 0
    while length < seconds * ESPEAK_RATE:
        if not voice or chance.random() < 0.15:
            voice, pace = chance.choice(VOICES), chance.randint(140, 200)
        said = say(texts[place % len(texts)], voice, pace)
        pause = np.zeros(int(chance.uniform(*pauses) * ESPEAK_RATE), np.float32)
        words += [(length + begin, length + end) for begin, end in said.words]
        signals += [said.signal, pause]
        length += len(said.signal) + len(pause)
        place += 1
    return Speech(np.concatenate(signals), tuple(words))


def pink_noise(count: int, seed: int) -> Signal:
    """`count` samples of noise that falls by 3 dB an octave, with a root mean square of 1."""
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    noise = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1)), count)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), np.float32)


def _words(signal: Signal, begins: list[int]) -> Iterator[tuple[int, int]]:
    for begin, following in zip(begins, [*begins[1:], len(signal)], strict=True):
        audible = np.flatnonzero(np.abs(signal[begin:following]) > AUDIBLE)
        if len(audible):
            yield begin + int(audible[0]), begin + int(audible[-1]) + 1


def _trimmed(signal: Signal, words: list[tuple[int, int]]) -> Speech:
    first, last = words[0][0], words[-1][1]
    return Speech(signal[first:last], tuple((begin - first, end - first) for begin, end in words))
