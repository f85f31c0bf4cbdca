"""The clips: sentences with a hotword, sentences without any, and sounds that nobody speaks in."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.speech import pink_noise
from services.contracts.inference import SAMPLE_RATE
from testmodel.speech import espeak
from testmodel.vocabulary import Language, Word

Samples = NDArray[np.float32]

TEST, TUNING = "test", "dev"
"""Sentences that training never saw; those of `TEST` are not for choosing settings either."""
QUIET = ("silence", "noise", "noise", "music", "music")
QUIET_CLIPS = 50
QUIET_SECONDS = (2.0, 12.0)
BEFORE_SECONDS = (0.2, 0.8)
AFTER_SECONDS = (0.4, 0.8)
PITCHES = (30, 70)
NOISE_LEVELS = (1e-4, 3e-3)
"""Root mean square of the white noise under the speech."""
CHORDS = ((262, 330, 392), (220, 262, 330), (294, 370, 440), (196, 247, 294), (440,), (1000,))
"""Hertz: four triads and two single tones."""


class Sentence(msgspec.Struct, frozen=True):
    """What is said and how it is to be written; `half` is the half of the pairs that its list has."""

    spoken: str
    text: str
    target: str | None
    """Its one hotword, the rare spelling of its sound."""
    half: int
    sound: str = "speech"
    """Or `silence`, `noise` or `music`, where the texts are empty."""


class Clip(msgspec.Struct, frozen=True):
    """A sound and what is said in it: nothing where the text is empty."""

    sentence: Sentence
    samples: Samples


def rare(language: Language, half: int) -> list[str]:
    """Rare spellings of every second pair: their list is tried on sentences with no other word of theirs."""
    return [spelling for _, spelling in language.sets[half::2]]


def sentences(language: Language, split: str, count: int, seed: int) -> list[Sentence]:
    """`count` with one hotword each, every pair in turn, then `count` without; all of them different."""
    chance = random.Random(f"{language.code} {seed}")
    found: dict[str, Sentence] = {}
    while len(found) < 2 * count:
        number = len(found)
        target = number % len(language.sets) if number < count else None
        sentence = _sentence(language, split, target, number % 2, chance)
        found.setdefault(sentence.text, sentence)
    return list(found.values())


def _sentence(
    language: Language, split: str, target: int | None, half: int, chance: random.Random
) -> Sentence:
    """One whose words with a double are all of the other half, but for `target`, once, where it has one."""
    half = half if target is None else target % 2
    while True:
        words = language.sentence_of(chance, split)
        if _listed(words, half) == ([] if target is None else [target]):
            break
    if target is None:
        return Sentence(language.text(words), language.text(words), None, half)
    return Sentence(language.text(words), language.text(words, {target: 1}), language.sets[target][1], half)


def _listed(words: Sequence[Word], half: int) -> list[int]:
    return [word for word in words if isinstance(word, int) and word % 2 == half]


def clips(language: Language, split: str, count: int, seed: int, work: Path) -> list[Clip]:
    """The sentences spoken by the model's voices, then the sounds without speech; cached in `work`."""
    path = work / f"clips-{_fingerprint(language)}-{split}-{count}-{seed}.npz"
    texts = path.with_suffix(".json")
    if not texts.exists():
        said = sentences(language, split, count, seed)
        np.savez(path, *_spoken(language, said, seed), *quiet(seed))  # numpy names them arr_0, arr_1, ...
        silent = [Sentence("", "", None, number % 2, QUIET[number % 5]) for number in range(QUIET_CLIPS)]
        texts.write_bytes(msgspec.json.encode([*said, *silent]))
    stored = np.load(path)
    listed = msgspec.json.decode(texts.read_bytes(), type=list[Sentence])
    return [Clip(sentence, stored[f"arr_{number}"]) for number, sentence in enumerate(listed)]


def _fingerprint(language: Language) -> str:
    return f"{language.code}-{hashlib.sha256(repr(language).encode()).hexdigest()[:8]}"


def _spoken(language: Language, said: Sequence[Sentence], seed: int) -> Iterator[Samples]:
    chance = random.Random(f"voices {language.code} {seed}")
    for number, sentence in enumerate(said):
        voice, pitch, pace = (
            chance.choice(language.voices),
            chance.randint(*PITCHES),
            chance.randint(*language.paces),
        )
        speech = espeak().say(sentence.spoken, voice, pitch, pace).samples
        before, after = (
            np.zeros(int(chance.uniform(*span) * SAMPLE_RATE), np.float32)
            for span in (BEFORE_SECONDS, AFTER_SECONDS)
        )
        signal = np.concatenate([before, speech, after])
        noise = np.random.default_rng([seed, number]).standard_normal(len(signal))
        level = 10 ** chance.uniform(*np.log10(NOISE_LEVELS))
        yield (signal + level * noise).astype(np.float32)


def quiet(seed: int) -> Iterator[Samples]:
    """Digital silence, white and pink noise, tones and chords with a beat, in the order of `QUIET`."""
    chance = random.Random(f"quiet {seed}")
    for number in range(QUIET_CLIPS):
        count = int(chance.uniform(*QUIET_SECONDS) * SAMPLE_RATE)
        level = np.float32(10 ** chance.uniform(-3.5, -1.0))
        white = np.random.default_rng([seed, number]).standard_normal(count).astype(np.float32)
        match number % 5:
            case 0:
                yield np.zeros(count, np.float32)
            case 1:
                yield level * white
            case 2:
                yield level * pink_noise(count, seed + number)
            case _:
                yield _music(count, chance) * np.float32(10 ** chance.uniform(-1.5, -0.3))


def _music(count: int, chance: random.Random) -> Samples:
    """Chords of half a second, each dying away, or one tone all along."""
    time = np.arange(count) / SAMPLE_RATE
    if chance.random() < 0.25:
        return np.sin(2 * np.pi * chance.choice((220, 440, 1000, 3000)) * time).astype(np.float32)
    beat = time % 0.5
    bars = [chance.choice(CHORDS) for _ in range(int(time[-1] / 0.5) + 1)]
    signal: Samples = np.zeros(count, np.float32)
    for number, chord in enumerate(bars):
        now = (time >= number / 2) & (time < (number + 1) / 2)
        for hertz in chord:
            signal[now] += sum(np.sin(2 * np.pi * hertz * k * time[now]) / k**2 for k in (1, 2, 3))
    return np.asarray(signal * np.exp(-3 * beat) / np.abs(signal).max(), np.float32)
