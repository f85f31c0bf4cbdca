"""Training windows, composed in the log-mel domain: sound, what is said when, and the ids to learn."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testmodel.bank import Bank, Clip
from testmodel.mel import BINS, FLOOR, Frames, features
from testmodel.prompts import Prompt, make_prompt
from testmodel.script import Script
from testmodel.sounds import Sounds
from testmodel.vocabulary import RARE_SHARE

STEPS = 1500
"""Encoder positions of a window: 20 ms each."""
FULL = 0
"""As a number of sentences: a whole window with as many as it happens to get."""
WORDLESS_SHARE = 0.06
TIMED_SHARE = 0.85
FORK_WEIGHT, LEFT_ALONE_WEIGHT, DECIDED_WEIGHT = 3.0, 8.0, 10.0
"""Of a homophone: without a prompt, with a prompt that does not name it, with one that does."""
MISREAD_SHARE = 0.03
"""How often some other word is read in place of the one written: one error must not lead to the next."""
STEERABLE_TRIES = 3
"""Where prompts come along, clips are drawn so often until one has a homophone that they can decide."""


@dataclass
class Placed:
    """A clip in a window: where its sound begins among the window's steps, and in the 30 s."""

    clip: Clip
    step: int
    position: int

    @property
    def end(self) -> int:
        """The position at which it ends; may be past the window."""
        return self.position + round(self.clip.seconds * 50)

    def unit(self, number: int) -> tuple[int, int]:
        """First and last-plus-one step of a unit."""
        begin, stop = self.clip.units[number]
        return self.step + int(begin * 50), self.step + max(int(stop * 50), int(begin * 50) + 1)


@dataclass
class Sound:
    """Features (2 * steps, 80) of a window or of the parts cut out of it."""

    language: str
    mel: Frames
    positions: NDArray[np.int64]
    phonemes: NDArray[np.int64]
    placed: list[Placed]


class Target:
    """Ids to read and what each should be followed by, built from left to right."""

    def __init__(self, script: Script, prompt: Prompt, language: str) -> None:
        self.script, self.prompt = script, prompt
        special = script.special
        before = [special["startofprev"], *prompt.ids] if prompt.ids else []
        self.ids = [*before, special["startoftranscript"], special[language], special["transcribe"]]
        self.labels = [-1] * len(self.ids)
        self.labels[-3:-1] = self.ids[-2:]
        self.others = [0] * len(self.ids)
        self.shares = [1.0] * len(self.ids)
        self.weights = [1.0] * len(self.ids)
        self.current: list[tuple[int, int]] = [(0, 0)] * len(self.ids)
        self.next: list[tuple[int, int]] = [(0, 0)] * len(self.ids)
        self.copies: list[Sequence[int]] = [()] * len(self.ids)

    def add(
        self, token: int, span: tuple[int, int] = (0, 0), *, read: int | None = None, learn: bool = True
    ) -> None:
        """The next id; `read` stands in for it as input."""
        self.expect(token if learn else -1)
        self.next[-1] = span
        self.ids.append(token if read is None else read)
        self.labels.append(-1)
        self.others.append(0)
        self.shares.append(1.0)
        self.weights.append(1.0)
        self.current.append(span)
        self.next.append((0, 0))
        self.copies.append(())

    def expect(self, token: int) -> None:
        """What should follow the last id."""
        self.labels[-1] = token

    def fork(self, other: int, share: float, weight: float) -> None:
        """The next id has a rival of the same sound; `share` is how often it is right."""
        self.others[-1], self.shares[-1], self.weights[-1] = other, share, weight

    def look_up(self, places: Sequence[int]) -> None:
        """Where in the prompt the next word stands; nowhere means the very first id."""
        if self.prompt.ids:
            self.copies[-1] = places or (0,)


class Composer:
    """Makes windows from the clips of a bank; all chance comes in from outside."""

    def __init__(self, bank: Bank, script: Script, phonemes: Sequence[str], seed: int) -> None:
        self._bank, self._script, self._sounds = bank, script, Sounds(seed)
        self._phonemes = {name: number for number, name in enumerate(phonemes, 1)}
        order = np.argsort([clip.frames for clip in bank.clips], kind="stable").tolist()
        self._by_length: dict[str, list[int]] = {
            code: [number for number in order if bank.clips[number].language == code] for code in ("en", "zh")
        }

    def batch(
        self, sentences: int, steps: int, room: int, tones: float, chance: random.Random
    ) -> list[tuple[Sound, Target]]:
        """Windows of like length that fill about `steps` encoder positions; a share of them is a tone."""
        like, windows, longest = chance.random(), list[tuple[Sound, Target]](), 0
        while True:
            language = chance.choice(("en", "zh"))
            if tones and chance.random() < tones:
                sound = self._wordless(language, sentences == FULL, chance, tone=True)
            else:
                sound = self._sound(language, sentences, like, STEERABLE_TRIES if room else 1, chance)
            longest = max(longest, len(sound.positions))
            if windows and longest * (len(windows) + 1) > steps:
                return windows
            windows.append((sound, self.target(sound, room, chance)))

    def target(self, sound: Sound, room: int, chance: random.Random, timed: bool | None = None) -> Target:
        """The ids of a window, with or without times and a prompt."""
        heard = [word for placed in sound.placed for word in placed.clip.sentence if isinstance(word, int)]
        prompted = room > 0 and chance.random() < 0.85
        prompt = make_prompt(self._script, sound.language, heard, room, chance) if prompted else Prompt()
        target = Target(self._script, prompt, sound.language)
        timed = chance.random() < TIMED_SHARE if timed is None else timed
        if not timed:
            target.add(self._script.special["notimestamps"], learn=False)
        if not sound.placed:
            target.labels[len(target.ids) - (3 if timed else 4)] = self._script.special["nospeech"]
            if timed:
                target.add(self._script.timestamp(0))
        for number, placed in enumerate(sound.placed):
            self._say(target, placed, timed, chance, first=number == 0)
        target.expect(self._script.special["endoftext"])
        return target

    def _say(
        self, target: Target, placed: Placed, timed: bool, chance: random.Random, *, first: bool
    ) -> None:
        cut = placed.end > STEPS - 2
        if cut and not timed:
            return
        if timed:
            # Decoders force the first time to be within a second: half of the late ones read a wrong one.
            late = first and placed.position > 50 and chance.random() < 0.5
            read = self._script.timestamp(chance.randint(0, 50)) if late else None
            target.add(self._script.timestamp(placed.position), (placed.step, placed.step + 3), read=read)
        if cut:
            return
        self._write(target, placed, chance)
        if timed:
            end = placed.step + int(placed.clip.seconds * 50)
            target.add(self._script.timestamp(placed.end), (end - 3, end + 2))

    def _write(self, target: Target, placed: Placed, chance: random.Random) -> None:
        sentence, decided = placed.clip.sentence, target.prompt.decided
        sets = {word for word in sentence if isinstance(word, int)}
        rare = frozenset(n for n in sets if (decided[n] if n in decided else chance.random() < RARE_SHARE))
        line = self._script.line(placed.clip.language, sentence, rare)
        for place, token in enumerate(line.tokens):
            number, other = line.forks.get(place, (None, 0))
            if number in decided:
                target.fork(other, 1.0, DECIDED_WEIGHT)
            elif number is not None:
                share = 1.0 - RARE_SHARE if number not in rare else RARE_SHARE
                target.fork(other, share, LEFT_ALONE_WEIGHT if target.prompt.ids else FORK_WEIGHT)
            target.look_up(target.prompt.places.get(sentence[token.word], ()))
            misread = chance.randrange(self._script.texts) if chance.random() < MISREAD_SHARE else None
            target.add(token.id, placed.unit(token.unit), read=misread)

    def _sound(self, language: str, sentences: int, like: float, tries: int, chance: random.Random) -> Sound:
        full = sentences == FULL
        if chance.random() < WORDLESS_SHARE:
            return self._wordless(language, full, chance, tone=False)
        count = chance.choice((1, 3, 6, 9, 12, 14, 14)) if full else sentences
        alike = like if count == 1 else None
        numbers = [self._drawn(language, alike, tries, chance) for _ in range(count)]
        return self._whole(language, numbers, chance) if full else self._cut_out(language, numbers, chance)

    def _wordless(self, language: str, full: bool, chance: random.Random, *, tone: bool) -> Sound:
        steps = STEPS if full else chance.randint(60, 160)
        empty = self._empty(steps, chance.randint(0, STEPS - steps))
        return self._finished(language, empty, [], chance, tone=tone)

    def _drawn(self, language: str, like: float | None, tries: int, chance: random.Random) -> int:
        """A clip of about the length `like` (0 for the shortest, 1 for the longest) or of any."""
        ordered = self._by_length[language]
        for _ in range(tries):
            share = chance.random() if like is None else like + chance.uniform(-0.02, 0.02)
            number = ordered[min(max(int(share * len(ordered)), 0), len(ordered) - 1)]
            if any(isinstance(word, int) for word in self._bank.clips[number].sentence):
                break
        return number

    def _whole(self, language: str, numbers: Sequence[int], chance: random.Random) -> Sound:
        """A window as it is at work: sentences and pauses, the last one perhaps cut off at 30 s."""
        mel, positions = self._empty(STEPS, 0)
        start = chance.choice((0, chance.randint(0, 60), chance.randint(0, 300)))
        longest_pause = chance.choice((15, 15, 30, 60, 150))
        placed = []
        for number in numbers:
            if start >= STEPS - 25:
                break
            placed.append(self._put(mel, number, start, start, chance))
            start += self._steps(number) + chance.randint(3, longest_pause)
        return self._finished(language, (mel, positions), placed, chance)

    def _cut_out(self, language: str, numbers: Sequence[int], chance: random.Random) -> Sound:
        """Sentences with the positions they have in a 30 s window whose silence is mostly left out."""
        longest = 250 if len(numbers) > 1 and chance.random() < 0.2 else 25
        pads = [(chance.choice((0, chance.randint(0, longest))), chance.randint(2, 25)) for _ in numbers]
        sizes = [
            before + self._steps(number) + after
            for number, (before, after) in zip(numbers, pads, strict=True)
        ]
        spare = max(0, STEPS - sum(sizes))
        shifts = (
            sorted(chance.randint(0, spare) for _ in numbers) if chance.random() < 0.75 else [0] * len(sizes)
        )
        fits = [n for n in range(len(sizes)) if shifts[n] + sum(sizes[: n + 1]) <= STEPS]
        mel, positions = self._empty(sum(sizes[n] for n in fits), 0)
        step, placed = 0, []
        for n in fits:
            positions[step : step + sizes[n]] = np.arange(sizes[n]) + shifts[n] + sum(sizes[:n])
            begin = step + pads[n][0]
            placed.append(self._put(mel, numbers[n], begin, int(positions[begin]), chance))
            step += sizes[n]
        return self._finished(language, (mel, positions), placed, chance)

    def _steps(self, number: int) -> int:
        return (self._bank.clips[number].frames + 1) // 2

    def _empty(self, steps: int, first: int) -> tuple[Frames, NDArray[np.int64]]:
        return np.full((2 * steps, BINS), FLOOR, np.float32), np.arange(first, first + steps)

    def _put(self, mel: Frames, number: int, step: int, position: int, chance: random.Random) -> Placed:
        # Half of what begins at once was cut at its first sound: without the moment before it.
        lead = 0 if position == 0 and chance.random() < 0.5 else 1
        frames = self._bank.mel(number)[2 - 2 * lead :][: len(mel) - 2 * step]
        here = mel[2 * step : 2 * step + len(frames)]
        np.maximum(here, frames + np.float32(chance.uniform(-0.9, 0.8)), out=here)
        return Placed(self._bank.clips[number], step + lead, position + lead)

    def _finished(
        self,
        language: str,
        empty: tuple[Frames, NDArray[np.int64]],
        placed: list[Placed],
        chance: random.Random,
        *,
        tone: bool = False,
    ) -> Sound:
        mel, positions = empty
        # Recordings shorter than 30 s are filled up with digital silence: noise and music end before it.
        spoken = 2 * placed[-1].step + round(100 * placed[-1].clip.seconds) if placed else len(mel) // 8
        end = min(len(mel), chance.choice((len(mel), chance.randint(spoken, max(spoken, len(mel))))))
        if placed:
            mel[:end] = self._roughened(mel[:end], chance)
        elif tone:
            mel[:end] = self._sounds.tone(end, chance) + np.float32(chance.uniform(-4, 0.5))
        elif chance.random() < 0.85:
            source = self._sounds.music if chance.random() < 0.6 else self._sounds.noise
            mel[:end] = source(end, chance) + np.float32(chance.uniform(-5, 0.5))
        return Sound(
            language,
            features(np.maximum(mel, FLOOR)),
            positions,
            self._labels(len(positions), placed),
            placed,
        )

    def _roughened(self, mel: Frames, chance: random.Random) -> Frames:
        """With noise under it, or without the high frequencies that cheap codecs and telephones drop."""
        if chance.random() < 0.55:
            noise = self._sounds.noise(len(mel), chance) + np.float32(chance.uniform(-5.0, -1.8))
            mel = np.log10(np.power(10, mel) + np.power(10, noise))
        if chance.random() < 0.12:
            mel = mel.copy()
            mel[:, chance.randint(58, 78) :] = FLOOR
        return mel

    def _labels(self, steps: int, placed: Sequence[Placed]) -> NDArray[np.int64]:
        labels = np.zeros(steps, np.int64)
        for one in placed:
            starts = [one.step + int(seconds * 50) for _, seconds in one.clip.phonemes]
            for (name, _), begin, end in zip(
                one.clip.phonemes, starts, [*starts[1:], one.step + int(one.clip.seconds * 50)], strict=True
            ):
                labels[begin : max(end, begin + 1)] = self._phonemes.get(name, 0)
        return labels
