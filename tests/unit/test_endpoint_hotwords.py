"""How hotword lists become prompts and biases, and what the report says of them."""

from collections.abc import Sequence

import pytest

from endpoint.hotwords import (
    MAX_WORD_TOKENS,
    REPORTED,
    Steering,
    hits,
    report,
    spellings,
    steering,
)
from services.contracts.hotwords import HotwordHit, HotwordMethod, validated
from services.contracts.inference import Segment

ROOM = 223


def characters(texts: Sequence[str]) -> list[list[int]]:
    """A tokeniser with one token per character: lengths are plain to see."""
    return [[ord(character) for character in text] for text in texts]


def prompt_text(steered: Steering) -> str:
    return "".join(map(chr, steered.prompt))


def heard(text: str, start: float = 0.0) -> Segment:
    return Segment(start=start, end=start + 1, text=text)


def test_a_prompt_holds_the_words_in_the_users_order() -> None:
    steered = steering(validated(words=["Jon", "Katherine"]), "en", characters, ROOM)
    assert prompt_text(steered) == " Jon, Katherine."
    assert (steered.applied, steered.dropped) == (2, ())


def test_a_chinese_prompt_has_chinese_punctuation() -> None:
    assert prompt_text(steering(validated(words=["张伟", "李娜"]), "zh", characters, ROOM)) == "张伟、李娜。"


def test_a_prompt_keeps_whole_words_only() -> None:
    words = [f"word{number:03}" for number in range(100)]
    steered = steering(validated(words=words), "en", characters, ROOM)
    assert len(steered.prompt) <= ROOM
    assert prompt_text(steered).endswith(f" {words[steered.applied - 1]}.")
    assert [word.word for word in steered.dropped] == words[steered.applied :][:REPORTED]


def test_a_prompt_uses_its_room_to_the_last_token() -> None:
    words = ["x" * 54] * 3 + ["y" * 52]  # " x..., x..., x..., y...." is 55 + 56 + 56 + 54 + 1 tokens
    words = [word[:-1] + str(number) for number, word in enumerate(words)]
    steered = steering(validated(words=words), "en", characters, ROOM)
    assert (steered.applied, len(steered.prompt)) == (4, 222)


@pytest.mark.parametrize("method", HotwordMethod)
def test_no_words_steer_nothing(method: HotwordMethod) -> None:
    assert steering(validated(method=method), "en", characters, ROOM) == Steering()


def test_a_boost_of_zero_is_no_bias() -> None:
    hotwords = validated(method="logit_bias", words=["Jon"], boost_factor=0)
    assert steering(hotwords, "en", characters, ROOM).trie is None


def test_a_bias_rewards_a_word_after_a_space_fully_and_a_bare_one_by_half() -> None:
    hotwords = validated(method="logit_bias", words=["Jon"], boost_factor=2)
    trie = steering(hotwords, "en", characters, ROOM).trie
    assert trie is not None
    assert trie.bonuses(0, hand_back=True) == {ord(" "): 2.0, ord("J"): 1.0}


def test_words_of_too_many_tokens_are_reported() -> None:
    long = "x" * (MAX_WORD_TOKENS + 1)
    steered = steering(validated(method="logit_bias", words=["Jon", long]), "en", characters, ROOM)
    assert steered.applied == 1
    assert [(word.word, word.reason) for word in steered.dropped] == [(long, "longer than 32 tokens")]


def test_lower_case_words_count_at_the_start_of_a_sentence_too() -> None:
    assert [text for text, _ in spellings("kafka")] == [" kafka", "kafka", " Kafka", "Kafka"]
    assert list(spellings("张伟")) == [("张伟", 1.0)]


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("Lynch", "Ask Lynch about it.", True),
        ("Lynch", "Ask Lynchburg about it.", False),
        ("Lynch", "Lynchburg knows Lynch", True),
        ("jon", "Jon called.", False),
        ("C++", "The C++ code", True),
        ("张伟", "我叫张伟你好", True),
        ("Docker", "使用Docker部署", True),
    ],
)
def test_a_hit_is_the_word_itself(word: str, text: str, found: bool) -> None:
    assert list(hits([word], [heard(text, 2.5)])) == ([HotwordHit(word=word, time=2.5)] if found else [])


def test_the_report_counts_given_and_applied() -> None:
    hotwords = validated(words=["Jon", "Kris"])
    told = report(hotwords, steering(hotwords, "en", characters, ROOM), [heard("Thank you Kris.")])
    assert (told.given, told.applied, [hit.word for hit in told.hits]) == (2, 2, ["Kris"])
