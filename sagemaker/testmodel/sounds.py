"""Sounds without words, as raw log-mel frames: noises, hums, tones, sweeps, beats and tunes."""

import random

import numpy as np

from testmodel.mel import Frames, raw_mel
from testmodel.speech import SAMPLE_RATE, Samples

SECONDS = 40
NOISE_SLOPES = (0.0, 0.5, 1.0)
"""White, in between and brown: power falls with the frequency to twice this."""
TUNES = 60
TONES = 24
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


class Sounds:
    """A few minutes of sound to cut from; the same seed gives the same sounds."""

    def __init__(self, seed: int) -> None:
        noise = np.random.default_rng(seed)
        chance = random.Random(seed)
        self._noises = [raw_mel(_noise(noise, slope)) for slope in NOISE_SLOPES]
        self._tunes = [raw_mel(tune(chance, 10)) for _ in range(TUNES)]
        self._tones = [raw_mel(tone(chance, SECONDS)) for _ in range(TONES)]

    def noise(self, frames: int, chance: random.Random) -> Frames:
        """Steady noise, its mean power about that of speech."""
        return _cut(chance.choice(self._noises), frames, chance)

    def music(self, frames: int, chance: random.Random) -> Frames:
        """Tones and tunes, repeated to the length asked for."""
        return _cut(np.tile(chance.choice(self._tunes), (4, 1)), frames, chance)

    def tone(self, frames: int, chance: random.Random) -> Frames:
        """A pure tone that never stops, as tune and noise do not have it."""
        return _cut(chance.choice(self._tones), frames, chance)


def tone(chance: random.Random, seconds: int) -> Samples:
    """A sine of 80 Hz to 4 kHz at half of full scale."""
    hertz = 80 * 2 ** chance.uniform(0, 5.6)
    return np.asarray(
        0.5 * np.sin(2 * np.pi * hertz * np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE), np.float32
    )


def tune(chance: random.Random, seconds: int) -> Samples:
    """One of: a steady tone, a chord, a sweep, beats of noise, a melody."""
    time = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    base = 55 * 2 ** chance.uniform(0, 5.5)
    kind = chance.choice(("tone", "tone", "tone", "chord", "sweep", "beat", "melody", "melody"))
    if kind == "tone":
        wave = _voice(base * time, chance.choice((1, 1, 1, 4)))
    elif kind == "chord":
        wave = sum((_voice(base * 2 ** (step / 12) * time, 3) for step in (0, 4, 7)), np.zeros(len(time)))
    elif kind == "sweep":
        wave = np.sin(2 * np.pi * base * (time + chance.uniform(-0.04, 0.09) * time**2))
    else:
        steps = (time / chance.choice((0.2, 0.35, 0.6))).astype(int)
        fall = np.exp(-chance.uniform(1, 9) * (time * SAMPLE_RATE % 4000) / SAMPLE_RATE)
        notes = np.array([base * 2 ** (chance.choice(SCALE) / 12) for _ in range(steps[-1] + 1)])
        turns = np.cumsum(notes[steps]) / SAMPLE_RATE
        noise = np.random.default_rng(chance.randrange(2**32)).standard_normal(len(time))
        wave = fall * (noise if kind == "beat" else _voice(turns, chance.choice((1, 3, 6))))
    loud: Samples = (wave / np.abs(wave).max() * 10 ** chance.uniform(-2, -0.2)).astype(np.float32)
    return loud


def _voice(
    turns: np.ndarray[tuple[int], np.dtype[np.float64]], harmonics: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    wave = sum((np.sin(2 * np.pi * turns * n) / n for n in range(1, harmonics + 1)), np.zeros(len(turns)))
    return np.asarray(wave)


def _noise(random_numbers: np.random.Generator, slope: float) -> Samples:
    spectrum = np.fft.rfft(random_numbers.standard_normal(SECONDS * SAMPLE_RATE))
    wave = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 50.0) ** -slope)
    quiet: Samples = (wave / wave.std() * 0.1).astype(np.float32)
    return quiet


def _cut(mel: Frames, frames: int, chance: random.Random) -> Frames:
    start = chance.randrange(len(mel) - frames + 1)
    return mel[start : start + frames]
