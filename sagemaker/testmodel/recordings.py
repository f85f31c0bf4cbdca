"""Recordings to measure with: held-out sentences with pauses and noise, and sounds without words."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from testmodel.bank import spoken
from testmodel.languages import LANGUAGES
from testmodel.sounds import tune
from testmodel.speech import SAMPLE_RATE, Samples
from testmodel.vocabulary import Sentence

SECONDS = 30.0
PAUSES = {"loose": (0.15, 1.5), "dense": (0.1, 0.35)}


@dataclass(frozen=True)
class Recording:
    """Up to 30 s at 16 kHz, and (start, end, sentence) of all that is said, in seconds."""

    language: str
    samples: Samples
    said: tuple[tuple[float, float, Sentence], ...]

    @property
    def text(self) -> str:
        """Everything said, in common spellings."""
        language = LANGUAGES[self.language]
        return language.joiner.join(language.text(sentence) for _, _, sentence in self.said)


def record(language: str, split: str, count: int, pauses: str, chance: random.Random) -> Recording:
    """As many of `count` sentences as end within 30 s."""
    spoken_language = LANGUAGES[language]
    return recorded(
        language, [spoken_language.sentence_of(chance, split) for _ in range(count)], pauses, chance
    )


def recorded(language: str, sentences: Sequence[Sentence], pauses: str, chance: random.Random) -> Recording:
    """These sentences, with noise under them."""
    loudness, said, start = chance.uniform(0.4, 1.2), [], chance.uniform(0.05, 0.9)
    samples = np.zeros(int(SECONDS * SAMPLE_RATE), np.float32)
    for sentence in sentences:
        clip, sound = spoken(LANGUAGES[language], sentence, chance)
        if start + clip.seconds > SECONDS - 0.3:
            break
        place = int(start * SAMPLE_RATE)
        samples[place : place + len(sound)] += loudness * sound
        said.append((start, start + clip.seconds, sentence))
        start += clip.seconds + chance.uniform(*PAUSES[pauses])
    samples = samples[: int(min(SECONDS, start) * SAMPLE_RATE)]
    noise = np.random.default_rng(chance.randrange(2**32)).standard_normal(len(samples))
    noisy = samples + noise * 10 ** chance.uniform(-4.0, -2.3)
    return Recording(language, noisy.astype(np.float32), tuple(said))


def wordless(kind: str, chance: random.Random) -> Samples:
    """Some seconds of `silence`, `noise`, `tone` (440 Hz) or `music`."""
    seconds = chance.randint(2, 28)
    count = seconds * SAMPLE_RATE
    numbers = np.random.default_rng(chance.randrange(2**32))
    if kind == "silence":
        return np.zeros(count, np.float32)
    if kind == "noise":
        return (numbers.standard_normal(count) * 10 ** chance.uniform(-3, -0.8)).astype(np.float32)
    if kind == "tone":
        wave = np.sin(2 * np.pi * 440 * np.arange(count) / SAMPLE_RATE)
        return (wave * 10 ** chance.uniform(-2, -0.2)).astype(np.float32)
    return tune(chance, seconds)
