"""What a hotword list may hold, and what is done to it before it is stored."""

import math
from itertools import count

import pytest

from services.contracts.hotwords import (
    MAX_WORD_CHARACTERS,
    MAX_WORDS,
    HotwordMethod,
    Hotwords,
    InvalidHotwords,
    validated,
)


def refused(**values: object) -> InvalidHotwords:
    with pytest.raises(InvalidHotwords) as caught:
        validated(**values)  # type: ignore[arg-type]  # wrong on purpose
    return caught.value


def test_nothing_given_means_no_hotwords() -> None:
    assert validated() == Hotwords(method=HotwordMethod.PROMPT_INJECTION, words=(), boost_factor=1.5)


def test_words_are_trimmed_composed_and_told_once_in_order() -> None:
    words = ["  Lynx ", "Zoe\u0308", "New   York", "Lynx", "Zoë", "林克斯"]
    assert validated(words=words).words == ("Lynx", "Zoë", "New York", "林克斯")


def test_space_within_a_word_is_one_space_and_joiners_stay() -> None:
    words = ["New\tYork", "San\r\nJosé", "می\u200cخواهم"]
    assert validated(words=words).words == ("New York", "San José", "می\u200cخواهم")


def test_case_makes_a_difference() -> None:
    assert validated(words=["Lynx", "lynx"]).words == ("Lynx", "lynx")


def test_the_limits_themselves_are_allowed() -> None:
    words = [f"{number:0{MAX_WORD_CHARACTERS - 30}}" for number in range(MAX_WORDS)]
    assert len(validated(words=words, boost_factor=5).words) == MAX_WORDS
    assert validated(words=["x" * MAX_WORD_CHARACTERS]).words == ("x" * MAX_WORD_CHARACTERS,)
    assert validated(boost_factor=0).boost_factor == 0.0


def test_the_first_word_too_many_ends_the_list() -> None:
    error = refused(words=(str(number) for number in count()))
    assert (error.field, str(error)) == ("words", "hotword 5001 is too many: at most 5000 are allowed")


def test_all_words_together_have_a_limit() -> None:
    assert "bytes" in str(refused(words=["字" * 60 + f"{number:04}" for number in range(2_000)]))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "1 to 64 characters"),
        ("   ", "1 to 64 characters"),
        ("x" * 65, "1 to 64 characters"),
        ("---", "no letter or digit"),
        ("a\x07b", "control character U+0007"),
        ("a\x1fb", "control character U+001F"),  # str.split would take it for a space
        ("\x00", "control character U+0000"),
        ("Ly\u200bnx", "control character U+200B"),  # zero-width space
        ("\u202eLynx", "control character U+202E"),  # turns the direction of writing
        ("\ufeffLynx", "control character U+FEFF"),  # byte order mark
        ("Lynx\ud83d", "control character U+D83D"),  # half a character
        ("<|endoftext|>", "the model's own marks"),
        ("half a mark|>", "the model's own marks"),
        (7, "not a string"),
        (None, "not a string"),
    ],
)
def test_a_word_that_cannot_work_is_named(word: object, said: str) -> None:
    error = refused(words=["fine", word])
    assert error.field == "words"
    assert said in str(error)


@pytest.mark.parametrize("words", ["Lynx", b"Lynx", 7, {"Lynx": 1}, None])
def test_words_must_be_a_list(words: object) -> None:
    assert "must be a list" in str(refused(words=words))


@pytest.mark.parametrize("boost", [-0.1, 5.1, math.nan, math.inf])
def test_a_boost_outside_its_range_is_refused(boost: float) -> None:
    error = refused(boost_factor=boost)
    assert (error.field, "outside 0 to 5" in str(error)) == ("boost_factor", True)


@pytest.mark.parametrize("boost", ["2", True, None])
def test_a_boost_must_be_a_number(boost: object) -> None:
    assert "must be a number" in str(refused(boost_factor=boost))


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    error = refused(method="magic")
    assert (error.field, "prompt_injection or logit_bias" in str(error)) == ("method", True)
