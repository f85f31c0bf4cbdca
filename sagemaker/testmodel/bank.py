"""The bank: spoken sentences as log-mel frames with the times of words and phonemes, in shards on disk."""

import multiprocessing
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from testmodel.languages import LANGUAGES
from testmodel.mel import raw_mel
from testmodel.speech import SAMPLE_RATE, Samples, Utterance, espeak
from testmodel.vocabulary import Language, Sentence, Word

SHARD_SENTENCES = 500
LEAD, TAIL = 320, 640
"""Silent samples put around a clip: 20 ms before and 40 ms after."""
AUDIBLE = 0.003
VOWELS = "aeiouyAEIOUV@0"
SILENT_PHONEMES = "_("


class Clip(msgspec.Struct, frozen=True):
    """A spoken sentence; times in seconds from its first sound."""

    language: str
    sentence: tuple[Word, ...]
    seconds: float
    units: tuple[tuple[float, float], ...]
    """From when to when each word (English) or character (Mandarin) sounds."""
    phonemes: tuple[tuple[str, float], ...]
    first: int = 0
    """Where its frames begin in the shard."""
    frames: int = 0


class Bank:
    """All clips of a split, their frames left on disk until used."""

    def __init__(self, folder: Path, split: str) -> None:
        self.clips: list[Clip] = []
        self._mels: list[NDArray[np.float16]] = []
        self._shards: list[int] = []
        for number, index in enumerate(sorted(folder.glob(f"{split}-*.json"))):
            clips = msgspec.json.decode(index.read_bytes(), type=list[Clip])
            self._mels.append(np.load(index.with_suffix(".npy"), mmap_mode="r"))
            self.clips += clips
            self._shards += [number] * len(clips)
        if not self.clips:
            raise FileNotFoundError(f"no sentences of split {split} in {folder}: run the bank command first")

    def mel(self, number: int) -> NDArray[np.float16]:
        """(frames, 80) of clip `number`."""
        clip = self.clips[number]
        return self._mels[self._shards[number]][clip.first : clip.first + clip.frames]


def make_bank(folder: Path, sizes: dict[str, int], seed: int, processes: int) -> Iterator[Path]:
    """Write the shards that are missing; `sizes`: sentences per language of each split (`train`, `dev`)."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (folder, split, code, number, seed)
        for split, size in sizes.items()
        for number in range(-(-size // SHARD_SENTENCES))
        for code in LANGUAGES
    ]
    missing = [job for job in jobs if not _index(*job[:4]).exists()]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    # espeak-ng's noises depend on all that a process said before: a fresh one for each shard repeats itself.
    with context.Pool(processes, maxtasksperchild=1) as pool:
        yield from pool.imap(_make_shard, missing, chunksize=1)


def spoken(language: Language, sentence: Sentence, chance: random.Random) -> tuple[Clip, Samples]:
    """A sentence in a random voice, cut to where it sounds."""
    text = language.text(sentence)
    said = espeak().say(
        text, chance.choice(language.voices), chance.randint(30, 70), chance.randint(*language.paces)
    )
    audible = np.flatnonzero(np.abs(said.samples) > AUDIBLE)
    start, end = max(0, int(audible[0]) - 80), min(len(said.samples), int(audible[-1]) + 160)
    clip = Clip(
        language=language.code,
        sentence=sentence,
        seconds=(end - start) / SAMPLE_RATE,
        units=tuple(_units(language, sentence, said, start / SAMPLE_RATE, end / SAMPLE_RATE)),
        phonemes=tuple(_phonemes(language, text, said, start / SAMPLE_RATE)),
    )
    return clip, said.samples[start:end]


def unit_starts(language: Language, words: Sequence[str]) -> list[int]:
    """The place in the text of every unit: each word, or each character where words are not spaced."""
    starts: list[int] = []
    place = 0
    for word in words:
        starts += [place] if language.joiner else range(place, place + len(word))
        place += len(word) + len(language.joiner)
    return starts


def _units(
    language: Language, sentence: Sentence, said: Utterance, start: float, end: float
) -> Iterator[tuple[float, float]]:
    """Times of units; espeak-ng names no start for some words, which share the time of the one before."""
    places = unit_starts(language, language.spelled(sentence))
    known = {place: seconds for place, seconds in said.words if place in set(places)}
    known[0] = start
    marks = [*sorted(known), len(language.text(sentence))]
    times = [*(known[place] for place in marks[:-1]), end]
    whole = np.interp([*places, marks[-1]], marks, np.maximum.accumulate(times)) - start
    for begin, stop in pairwise(np.clip(whole, 0.0, end - start).tolist()):
        yield begin, max(stop, begin + 0.04)


def _phonemes(language: Language, text: str, said: Utterance, start: float) -> Iterator[tuple[str, float]]:
    """Phonemes, named by language; Mandarin vowels carry their syllable's tone."""
    tones = _tones(text) if language.code == "zh" else []
    syllable = 0
    for name, seconds in said.phonemes:
        if name[0] in SILENT_PHONEMES:
            syllable += name == "_|"
            continue
        tone = tones[syllable] if syllable < len(tones) and name[0] in VOWELS else ""
        yield f"{language.code}:{name}{tone}", seconds - start


def _tones(text: str) -> list[str]:
    syllables = espeak().phonemes(text, LANGUAGES["zh"].voices[0]).split("_|")
    return ["".join(sign for sign in syllable if sign.isdigit()) for syllable in syllables]


def _make_shard(job: tuple[Path, str, str, int, int]) -> Path:
    folder, split, code, number, seed = job
    torch.set_num_threads(1)
    chance = random.Random(f"{seed} {split} {code} {number}")
    language, clips, mels, first = LANGUAGES[code], [], [], 0
    for _ in range(SHARD_SENTENCES):
        clip, samples = spoken(language, language.sentence_of(chance, split), chance)
        mel = raw_mel(np.pad(samples, (LEAD, TAIL))).astype(np.float16)
        clips.append(msgspec.structs.replace(clip, first=first, frames=len(mel)))
        mels.append(mel)
        first += len(mel)
    index = _index(folder, split, code, number)
    with index.with_suffix(".npy.part").open("wb") as part:
        np.save(part, np.concatenate(mels))
    index.with_suffix(".npy.part").rename(index.with_suffix(".npy"))
    index.with_suffix(".part").write_bytes(msgspec.json.encode(clips))
    index.with_suffix(".part").rename(index)
    return index


def _index(folder: Path, split: str, code: str, number: int) -> Path:
    return folder / f"{split}-{code}-{number:03}.json"
