"""Times of words and subtitles against speech of which it is known when each word begins."""

import difflib
import itertools
import random
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from testmodel.speech import ESPEAK_RATE, Samples, espeak
from tests.api import Api
from tests.speech import sentences

VOICE, PACE = "en-us", 150
SENTENCES = 16
PAUSES = (0.6, 4.0)
"""Seconds; the longer ones are left out as silence."""
HEARD = 0.9
"""Share of the words that the model has to hear at all."""
MEDIAN_SECONDS = 0.1
"""Most that half of the words may begin early or late; it was 0.033 when this was written."""


class Known(msgspec.Struct, frozen=True):
    """A recording, its words and when each begins, seconds."""

    path: Path
    words: tuple[str, ...]
    starts: tuple[float, ...]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    path, chance = tmp_path_factory.mktemp("words") / "words.wav", random.Random(7)
    words, starts, sound = list[str](), list[float](), list[Samples]()
    for sentence in sentences(11, SENTENCES):
        said = espeak().say_unresampled(sentence, VOICE, pace=PACE)
        if len(said.words) != len(sentence.split()):
            continue  # it counts a word twice now and then
        length = sum(map(len, sound)) / ESPEAK_RATE
        words += sentence.split()
        starts += [length + start for _, start in said.words]
        sound += [said.samples, np.zeros(int(chance.uniform(*PAUSES) * ESPEAK_RATE), np.float32)]
    soundfile.write(path, np.concatenate(sound), ESPEAK_RATE)
    return Known(path, tuple(words), tuple(starts))


async def transcript(api: Api, known: Known, fmt: str) -> Any:
    """What the system made of it, in one format."""
    _, job = await api.submit(known.path, timestamps="word", language="en", skip_silence="true")
    await api.finished(job["id"])
    status, found = await api.get(f"/v1/jobs/{job['id']}/transcript", format=fmt)
    assert status == 200
    return found


async def test_words_begin_when_they_are_said(
    api: Api, known: Known, record_property: Callable[[str, object], None]
) -> None:
    found = await transcript(api, known, "json")
    words, skipped = found["words"], found["skipped"]

    assert skipped, "the recording has pauses that are left out"
    for word in words:
        assert word["start"] < word["end"], word
        inside = [one for one in skipped if one["start"] < word["start"] and word["end"] < one["end"]]
        assert not inside, f"{word} is said in silence"
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    errors = [abs(said - heard) for said, heard in matched(known, words)]
    assert len(errors) >= HEARD * len(known.words)
    median = statistics.median(errors)
    told = f"words begin {median:.3f} s off, half of them; nine of ten at most {quantile(errors):.3f} s"
    record_property("word_times", told)  # stands in the report that --junit-xml writes
    assert median <= MEDIAN_SECONDS, told


async def test_subtitles_stand_where_their_words_are_said(api: Api, known: Known) -> None:
    text = await transcript(api, known, "srt")
    times = [(seconds(begin), seconds(end)) for begin, end in re.findall(r"(\S+) --> (\S+)", text)]

    assert times
    assert times == sorted(times)
    assert all(begin < end for begin, end in times)
    for (_, end), (begin, _) in itertools.pairwise(times):
        assert end <= begin + 0.001, "two subtitles at once"
    shown = [any(begin - 1.0 <= start <= end + 1.0 for begin, end in times) for start in known.starts]
    assert sum(shown) >= HEARD * len(shown)


def matched(known: Known, words: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Begin as said and as heard, of words that were heard right."""
    heard = [word["word"].strip(" .,?!").lower() for word in words]
    said = [word.lower() for word in known.words]
    blocks = difflib.SequenceMatcher(a=said, b=heard, autojunk=False).get_matching_blocks()
    return [
        (known.starts[block.a + place], words[block.b + place]["start"])
        for block in blocks
        for place in range(block.size)
    ]


def quantile(errors: list[float]) -> float:
    return statistics.quantiles(errors, n=10)[-1]


def seconds(clock: str) -> float:
    """`00:01:02,345` as a number."""
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))
