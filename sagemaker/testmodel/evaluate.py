"""How well an expanded model does, by transformers' own decoding, on sentences it never learned from."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from testmodel.languages import LANGUAGES
from testmodel.recordings import Recording, record, recorded, wordless
from testmodel.speech import SAMPLE_RATE, Samples
from testmodel.vocabulary import Sentence

BATCH = 8
DISTRACTORS = 5
SOUND_KINDS = ("silence", "noise", "tone", "music")

Figures = dict[str, float]


class Listener:
    """A model directory, decoding greedily with timestamps."""

    def __init__(self, folder: Path) -> None:
        self._processor = WhisperProcessor.from_pretrained(folder)
        self._model: Any = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self._model.requires_grad_(False)

    def hear(
        self, sounds: Sequence[Samples], language: str, prompt: str | None = None
    ) -> list[dict[str, Any]]:
        """`text` and `offsets` (texts with `timestamp` pairs) of each sound of up to 30 s."""
        heard = []
        options = (
            {"prompt_ids": self._processor.get_prompt_ids(prompt, return_tensors="pt")} if prompt else {}
        )
        for first in range(0, len(sounds), BATCH):
            some = [*sounds[first : first + BATCH]]
            features = self._processor(
                some, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True
            )
            rows = self._model.generate(
                features.input_features,
                attention_mask=features.attention_mask,
                language=language,
                task="transcribe",
                return_timestamps=True,
                max_new_tokens=220,
                **options,
            )
            heard += [
                self._processor.tokenizer.decode(row, skip_special_tokens=True, output_offsets=True)
                for row in rows
            ]
        return heard


def evaluate(
    folder: Path, codes: Sequence[str], split: str, scale: float, seed: int
) -> Iterator[tuple[str, Figures]]:
    """Each measurement's name and figures; `scale` 1 takes about ten minutes on one core."""
    listener = Listener(folder)
    for code in codes:
        for name, count, pauses in (("single", 1, "loose"), ("mixed", 0, "loose"), ("dense", 12, "dense")):
            chance = random.Random(f"{seed} {code} {name}")
            size = max(4, round(scale * (160 if count == 1 else 40)))
            some = [record(code, split, count or chance.randint(1, 8), pauses, chance) for _ in range(size)]
            yield f"{code} {name}", transcription(listener, some)
        yield f"{code} homophones", spelling(listener, code, split, scale, random.Random(f"{seed} {code}"))
    chance = random.Random(f"{seed} wordless")
    for kind in SOUND_KINDS:
        sounds = [wordless(kind, chance) for _ in range(max(2, round(scale * 24)))]
        for code in codes:
            texts = [heard["text"].strip() for heard in listener.hear(sounds, code)]
            yield f"{code} {kind}", {"clips": len(texts), "with_text": sum(map(bool, texts))}


def transcription(listener: Listener, recordings: Sequence[Recording]) -> Figures:
    """Errors (words, or characters where words are not spaced) and the times' error in seconds."""
    heard = listener.hear([one.samples for one in recordings], recordings[0].language)
    wrong, length, exact, late, counted = 0, 0, 0, list[float](), 0
    for one, result in zip(recordings, heard, strict=True):
        said, written = units(one.text, one.language), units(result["text"], one.language)
        errors = distance(said, written)
        wrong, length, exact = wrong + errors, length + len(said), exact + (errors == 0)
        stamps = [piece["timestamp"] for piece in result["offsets"]]
        if len(stamps) == len(one.said):
            counted += 1
            late += [
                abs(a - b)
                for stamp, (*times, _) in zip(stamps, one.said, strict=True)
                for a, b in zip(stamp, times, strict=True)
                if a is not None
            ]
    return {
        "recordings": len(recordings),
        "sentences": sum(len(one.said) for one in recordings),
        "error_rate": wrong / length,
        "exact": exact / len(recordings),
        "right_number_of_segments": counted / len(recordings),
        "time_error_median": median(late) if late else 9.0,
        "time_error_p90": sorted(late)[int(0.9 * len(late))] if late else 9.0,
    }


def spelling(listener: Listener, code: str, split: str, scale: float, chance: random.Random) -> Figures:
    """How often a homophone comes out common or rare, without a prompt and with four kinds of them."""
    sets = LANGUAGES[code].sets
    numbers = chance.sample(range(len(sets)), max(3, round(scale * len(sets))))
    found: dict[str, list[bool]] = {}
    separator = ", " if LANGUAGES[code].joiner else "、"
    for number in numbers:
        one = recorded(code, [_with(code, number, split, chance)], "loose", chance)
        others = chance.sample([other for other in range(len(sets)) if other != number], DISTRACTORS)
        strangers = [sets[other][1] for other in others]
        common, rare = sets[number]
        for name, words, wanted in (
            ("plain_common", [], common),
            ("plain_rare", [], rare),
            ("prompt_rare", [rare, *strangers], rare),
            ("prompt_common", [common, *strangers], common),
            ("alone_rare", [rare], rare),
            ("unrelated_common", strangers, common),
            ("long_unrelated_common", _many(code, number, chance), common),
        ):
            prompt = separator.join(chance.sample(words, len(words))) or None
            [heard] = listener.hear([one.samples], code, prompt)
            found.setdefault(name, []).append(_has(heard["text"], wanted, code))
    return {"sets": len(numbers), **{name: mean(hits) for name, hits in found.items()}}


def units(text: str, language: str) -> list[str]:
    """Words, or characters where words are not spaced, blind to case and punctuation."""
    plain = re.sub(r"[^\w\s']", " " if LANGUAGES[language].joiner else "", text.lower())
    return plain.split() if LANGUAGES[language].joiner else list("".join(plain.split()))


def distance(said: Sequence[str], written: Sequence[str]) -> int:
    """Levenshtein's: words put in, left out or changed."""
    row = list(range(len(written) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(written, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def _has(text: str, word: str, code: str) -> bool:
    return word.lower() in units(text, code) if LANGUAGES[code].joiner else word in text


def _with(code: str, number: int, split: str, chance: random.Random) -> Sentence:
    while True:
        sentence = LANGUAGES[code].sentence_of(chance, split)
        if sentence.count(number) == 1:
            return sentence


def _many(code: str, number: int, chance: random.Random) -> list[str]:
    """Some 150 tokens' worth of words, the set's own not among them."""
    words = [word for word in LANGUAGES[code].words if word not in LANGUAGES[code].sets[number]]
    return chance.sample(words, 45 if code == "zh" else 60)
