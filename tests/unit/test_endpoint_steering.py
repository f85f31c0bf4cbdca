"""How hotword lists become prompts and biases, and how compiled lists are kept."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from endpoint.automaton import MAX_EARNED, OUTSIDE, Automaton
from endpoint.steering import (
    BARE_SHARE,
    LIST_COST,
    LISTS_KEPT,
    MAX_WORD_TOKENS,
    REPORTED,
    Compiler,
    Steering,
    spellings,
)
from endpoint.wordpieces import WordPieces, spaced
from services.contracts.hotwords import HotwordMethod, Hotwords, validated

ROOM = 223
LETTERS = np.array([spaced(chr(code)) for code in range(0x9FFF)])
PIECES = WordPieces(continues=LETTERS, ends=LETTERS)


def characters(texts: Sequence[str]) -> list[list[int]]:
    """A tokeniser with one token per character: lengths are plain to see."""
    return [[ord(character) for character in text] for text in texts]


def steering(hotwords: Hotwords, language: str = "en") -> Steering:
    return Compiler(characters, PIECES, ROOM).steering(hotwords, language)


def prompt_text(steered: Steering) -> str:
    return "".join(map(chr, steered.prompt))


def begins(automaton: Automaton | None) -> dict[str, float]:
    """What earns a bonus before anything was written."""
    assert automaton is not None
    edges = slice(automaton.first[OUTSIDE], automaton.first[OUTSIDE + 1])
    return {
        chr(token): float(gain)
        for token, gain in zip(automaton.tokens[edges], automaton.gains[edges], strict=True)
    }


def biased(*words: str, boost: float = 1.5) -> Hotwords:
    return validated(method="logit_bias", words=words, boost_factor=boost)


def test_a_prompt_holds_the_words_in_the_users_order() -> None:
    steered = steering(validated(words=["Jon", "Katherine"]))
    assert prompt_text(steered) == " Jon, Katherine."
    assert (steered.applied, steered.dropped) == (2, ())


@pytest.mark.parametrize("language", ["zh", "ja", "yue"])
def test_a_chinese_or_japanese_prompt_has_its_own_punctuation(language: str) -> None:
    assert prompt_text(steering(validated(words=["张伟", "Docker"]), language)) == "张伟、Docker。"


def test_a_prompt_keeps_whole_words_only() -> None:
    words = [f"word{number:03}" for number in range(100)]
    steered = steering(validated(words=words))
    assert len(steered.prompt) <= ROOM
    assert prompt_text(steered).endswith(f" {words[steered.applied - 1]}.")
    assert [word.word for word in steered.dropped] == words[steered.applied :][:REPORTED]
    assert steered.dropped_at == ((steered.applied, len(words)),)


def test_a_prompt_uses_its_room_to_the_last_token() -> None:
    words = [letter * 53 for letter in "abc"] + ["d" * 54]  # 54 + 55 + 55 + 56 tokens and the full stop
    for extra, applied in [(2, 4), (3, 3)]:
        steered = steering(validated(words=[*words[:3], "d" * (54 + extra)]))
        assert (steered.applied, len(steered.prompt) <= ROOM) == (applied, True)
    assert len(steering(validated(words=[*words[:3], "d" * 56])).prompt) == ROOM


def test_a_word_too_long_for_the_room_leaves_no_prompt() -> None:
    steered = Compiler(characters, PIECES, room=5).steering(validated(words=["Katherine"]), "en")
    assert (steered.prompt, steered.applied, len(steered.dropped)) == ((), 0, 1)


@pytest.mark.parametrize("method", HotwordMethod)
def test_no_words_steer_nothing(method: HotwordMethod) -> None:
    assert steering(validated(method=method)) == Steering()


def test_a_boost_of_zero_is_no_bias_and_says_so() -> None:
    steered = steering(biased("Jon", boost=0))
    assert (steered.automaton, steered.applied) == (None, 0)
    assert [word.word for word in steered.dropped] == ["Jon"]
    assert steered.dropped_at == ((0, 1),)


def test_a_bias_rewards_a_word_after_a_space_fully_and_a_bare_one_by_half() -> None:
    assert begins(steering(biased("Jon", boost=2)).automaton) == {" ": 2.0, "J": 2.0 * BARE_SHARE}


def test_a_word_of_one_token_earns_as_much_as_one_of_two() -> None:
    """What it sounds like does not depend on how many tokens it takes."""
    assert begins(steering(biased("张", boost=2)).automaton) == {"张": 4.0}
    assert begins(steering(biased("张伟", boost=2)).automaton) == {"张": 2.0}


@pytest.mark.parametrize(("words", "most"), [(1, MAX_EARNED), (1000, MAX_EARNED - 3 * LIST_COST)])
def test_the_more_words_the_less_each_can_earn(words: int, most: float) -> None:
    """Among a thousand some sound like whatever is said."""
    steered = steering(biased(*map(chr, range(0x4E00, 0x4E00 + words)), boost=5))
    assert list(begins(steered.automaton).values()) == pytest.approx([most] * words)


def test_words_of_too_many_tokens_are_reported_and_get_no_bonus_at_all() -> None:
    long = "x" * MAX_WORD_TOKENS  # and one more with a space before it
    steered = steering(biased("Jon", long))
    assert steered.applied == 1
    assert [(word.word, word.reason) for word in steered.dropped] == [(long, "longer than 32 tokens")]
    assert steered.dropped_at == ((1, 2),)
    assert "x" not in begins(steered.automaton)


@pytest.mark.parametrize(
    ("word", "texts"),
    [
        ("Jon", {" Jon": 1.0, "Jon": 0.5}),
        ("kafka", {" kafka": 1.0, "kafka": 0.5, " Kafka": 1.0, "Kafka": 0.5}),
        ("iPhone", {" iPhone": 1.0, "iPhone": 0.5}),
        ("3com", {" 3com": 1.0, "3com": 0.5}),
        ("张伟", {"张伟": 1.0}),
        ("卡拉OK", {"卡拉OK": 1.0}),
        ("K歌", {" K歌": 1.0, "K歌": 0.5}),
        ("さくら", {"さくら": 1.0}),
        ("서울", {" 서울": 1.0, "서울": 0.5}),
    ],
)
def test_the_spellings_of_a_word(word: str, texts: dict[str, float]) -> None:
    assert dict(spellings(word)) == texts


def test_a_word_of_letters_is_complete_at_its_end_only() -> None:
    """Lynch loses its bonus in Lynchburg; a Chinese name keeps it whatever follows."""
    for word, loses in [("Lynch", True), ("张伟", False), ("卡拉OK", True), ("C++", False)]:
        automaton = steering(biased(word)).automaton
        assert automaton is not None
        assert (automaton.lost_on > 0).any() == loses


class CountingTokenizer:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        self.calls += 1
        return characters(texts)


def test_a_list_is_compiled_once_for_all_languages_and_shares() -> None:
    tokenizer = CountingTokenizer()
    compiler = Compiler(tokenizer, PIECES, ROOM)
    whole = compiler.steering(biased("Jon"), "en")
    assert compiler.steering(biased("Jon"), "zh") is whole
    half = compiler.steering(biased("Jon"), "en", 0.5)
    assert compiler.steering(biased("Jon"), "en", 0.5) is half
    assert begins(half.automaton) == {" ": 0.75, "J": 0.375}
    assert compiler.steering(biased("Jon"), "en", 0.0) == Steering()
    assert tokenizer.calls == 1


def test_a_prompt_is_made_for_each_kind_of_punctuation() -> None:
    tokenizer = CountingTokenizer()
    compiler = Compiler(tokenizer, PIECES, ROOM)
    words = validated(words=["Jon"])
    for language in ("en", "de", "zh", "ja"):
        compiler.steering(words, language)
    assert compiler.steering(words, "en", 0.5) is compiler.steering(words, "en")
    assert tokenizer.calls == 2


def test_threads_that_ask_at_once_share_one_compilation() -> None:
    tokenizer, together = CountingTokenizer(), Barrier(8)
    compiler = Compiler(tokenizer, PIECES, ROOM)

    def ask() -> Steering:
        together.wait(timeout=10)
        return compiler.steering(biased("Jon"), "en")

    with ThreadPoolExecutor(8) as threads:
        steered = [asked.result() for asked in [threads.submit(ask) for _ in range(8)]]
    assert tokenizer.calls == 1
    assert all(each is steered[0] for each in steered)


def test_the_list_not_used_for_longest_is_forgotten() -> None:
    tokenizer = CountingTokenizer()
    compiler = Compiler(tokenizer, PIECES, ROOM)
    for number in range(LISTS_KEPT):
        compiler.steering(biased(f"w{number}"), "en")
    compiler.steering(biased("w0"), "en")
    compiler.steering(biased("new"), "en")
    compiler.steering(biased("w0"), "en")
    assert tokenizer.calls == LISTS_KEPT + 1
    compiler.steering(biased("w1"), "en")
    assert tokenizer.calls == LISTS_KEPT + 2


def test_a_failure_is_told_and_not_kept() -> None:
    failures = [ZeroDivisionError("no tokeniser yet")]

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        if failures:
            raise failures.pop()
        return characters(texts)

    compiler = Compiler(tokenize, PIECES, ROOM)
    with pytest.raises(ZeroDivisionError):
        compiler.steering(biased("Jon"), "en")
    assert compiler.steering(biased("Jon"), "en").applied == 1
