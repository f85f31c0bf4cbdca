"""How the hotword benchmark makes its sentences and lists, and what it counts in a text."""

import random
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.hotwords.corpus import TEST, Clip, Sentence, rare, sentences
from bench.hotwords.curve import Point, svg
from bench.hotwords.lists import Request, requests
from bench.hotwords.scores import Count, count, scores, share, times
from testmodel.vocabulary import Language, same_sound

ENGLISH = Language(
    code="en",
    voices=("en-us",),
    paces=(150, 160),
    joiner=" ",
    end=".",
    homophones={"N": same_sound("John/Jon Sarah/Sara Lee/Leigh Ray/Raye")},
    lists={"O": [f"thing{number}" for number in range(30)], "P": [f"Town{number}" for number in range(30)]},
    patterns=("{N} and {N} opened the {O} in {P}", "the {O} is near the {O} in {P}"),
    prompt_heads=(),
)
SILENCE = np.zeros(1, np.float32)


def one(said: str, target: str | None, wrote: str, *words: str, spaced: bool = True) -> Count:
    clip = Clip(Sentence(said, said, target, 0, "speech" if said else "music"), SILENCE)
    return count(Request(clip, words), wrote, spaced=spaced)


def test_only_the_target_of_a_sentence_has_a_double_in_its_list() -> None:
    for sentence in sentences(ENGLISH, TEST, 8, seed=1):
        listed = [word for word in rare(ENGLISH, sentence.half) if times(word, sentence.text.rstrip("."))]
        assert listed == ([sentence.target] if sentence.target else [])
        commons = {common for common, _ in ENGLISH.sets[sentence.half :: 2]}
        assert commons.isdisjoint(sentence.text.rstrip(".").split())


def test_sentences_and_lists_are_the_same_in_every_run() -> None:
    made = sentences(ENGLISH, TEST, 5, seed=3)
    assert made == sentences(ENGLISH, TEST, 5, seed=3)
    assert len({sentence.text for sentence in made}) == 10
    clips = [Clip(sentence, SILENCE) for sentence in made]
    lists = [[request.words for request in requests(ENGLISH, clips, 20, seed=3)] for _ in range(2)]
    assert lists[0] == lists[1]


@pytest.mark.parametrize("size", [1, 20])
def test_a_list_has_its_size_and_nothing_that_is_said_but_the_target(size: int) -> None:
    clips = [Clip(sentence, SILENCE) for sentence in sentences(ENGLISH, TEST, 5, seed=4)]
    for request in requests(ENGLISH, clips, size, seed=4):
        said = [word for word in request.words if word in request.clip.sentence.text.rstrip(".").split()]
        assert len(set(request.words)) == size
        assert said == ([request.clip.sentence.target] if request.clip.sentence.target else [])


@pytest.mark.parametrize(
    ("wrote", "found", "invented", "errors"),
    [
        ("Jon opened the house.", 1, 0, 0),
        ("jon opened the house", 1, 0, 0),
        ("John opened the house.", 0, 0, 0),
        ("John opened a house.", 0, 0, 1),
        ("Jon opened the Leigh.", 1, 1, 1),
        ("Jon opened the red house.", 1, 0, 1),
        ("", 0, 0, 3),
        ("Jonathan opened the house.", 0, 0, 0),
    ],
)
def test_the_hotword_and_the_other_words_are_counted_apart(
    wrote: str, found: int, invented: int, errors: int
) -> None:
    seen = one("Jon opened the house.", "Jon", wrote, "Jon", "Leigh")
    assert (seen.found, seen.invented, seen.errors, seen.units) == (found, invented, errors, 3)


def test_without_spaces_characters_count() -> None:
    seen = one("章伟正在开会。", "章伟", "张伟在开会。", "章伟", "开会", spaced=False)
    assert (seen.said, seen.found, seen.invented, seen.units, seen.errors) == (1, 0, 0, 4, 1)


def test_sounds_without_speech_are_kept_apart() -> None:
    spoken, silent = one("the house", None, "the house", "Jon"), one("", None, "Jon", "Jon")
    found = scores([spoken, silent], [spoken, silent], seconds=0.0)
    assert (found.quiet_alarms, found.music_alarms, found.quiet_texts, found.invented) == (1, 1, 1, 0)
    assert found.false_alarms.value == 0


def test_the_interval_holds_the_value_and_narrows_with_more_clips() -> None:
    chance = random.Random(1)
    few, many = (share([int(chance.random() < 0.5) for _ in range(n)], [1] * n) for n in (20, 2000))
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low


def test_the_picture_is_an_image_that_browsers_read() -> None:
    lines = {
        "logit_bias": [Point(0.0, 12.0, "0"), Point(0.5, 98.0, "4")],
        "faster-whisper": [Point(9, 3, "")],
    }
    picture = ElementTree.fromstring(svg({"en": lines, "zh": lines}))  # noqa: S314  # our own
    assert picture.tag.endswith("svg")
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}polyline"))) == 4
