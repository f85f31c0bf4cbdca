"""What the report says of a list: hits with their times, suspected insertions, and echoes of the prompt."""

from collections.abc import Sequence

import pytest

from endpoint.automaton import compiled
from endpoint.hotword_report import Spoken, echoes_prompt, report
from endpoint.steering import Steering, named
from services.contracts.hotwords import HotwordHit, HotwordMethod, Hotwords, HotwordsReport, validated
from tests.hotword_reader import CJK, word

BIASED = Steering(automaton=compiled([word(1)], CJK), applied=1)
PROMPTED = Steering(prompt=(1, 2, 3), applied=1)


def text_of(tokens: Sequence[int]) -> str:
    """A token is a byte."""
    return bytes(tokens).decode(errors="replace")


def said(text: str, start: float = 0.0, end: float = 1.0, logprob: float = -0.1) -> Spoken:
    tokens = tuple(text.encode())
    return Spoken(start=start, end=end, tokens=tokens, logprobs=(logprob,) * len(tokens))


def told(words: Sequence[str], *spoken: Spoken, steered: Steering = BIASED) -> HotwordsReport:
    method = HotwordMethod.LOGIT_BIAS if steered.automaton else HotwordMethod.PROMPT_INJECTION
    return report(validated(method=method, words=words), steered, spoken, text_of)


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("Lynch", "Ask Lynch about it.", True),
        ("Lynch", "Ask Lynchburg about it.", False),
        ("Lynch", "Lynchburg knows Lynch", True),
        ("jon", "Jon called.", True),
        ("Jon", "He is called jon.", False),
        ("C++", "The C++ code", True),
        ("张伟", "我叫张伟你好", True),
        ("Docker", "使用Docker部署", True),
        ("서울", "저는 서울에 살아요", True),
    ],
)
def test_a_hit_is_the_word_itself(word: str, text: str, found: bool) -> None:
    assert [hit.word for hit in told([word], said(text)).hits] == ([word] if found else [])


def test_a_hit_tells_when_the_word_begins() -> None:
    """Tokens share a phrase evenly unless their times are known."""
    phrase = said("0123 Anna", start=10.0, end=19.0)
    assert told(["Anna"], phrase).hits == (HotwordHit(word="Anna", time=15.0),)
    timed = Spoken(
        start=10, end=19, tokens=phrase.tokens, logprobs=phrase.logprobs, times=(*range(5), *[17.5] * 4)
    )
    assert told(["Anna"], timed).hits == (HotwordHit(word="Anna", time=17.5),)


def test_a_chinese_hit_begins_with_the_first_token_of_its_first_character() -> None:
    assert told(["伟"], said("张伟好", start=0, end=9)).hits == (HotwordHit(word="伟", time=3.0),)


def test_every_place_counts_in_the_order_of_time() -> None:
    hits = told(["Bob", "Anna"], said("Anna, Bob, Anna."), said("Bob", start=5)).hits
    assert [hit.word for hit in hits] == ["Anna", "Bob", "Anna", "Bob"]


def test_a_word_listed_in_both_cases_is_hit_as_it_is_written() -> None:
    hits = told(["kafka", "Kafka"], said("Kafka and kafka")).hits
    assert [hit.word for hit in hits] == ["Kafka", "kafka"]


def with_doubts(before: float, within: float) -> Spoken:
    """`Ask Anna`, with these log-probabilities before the name and within it."""
    return Spoken(start=0, end=1, tokens=tuple(b"Ask Anna"), logprobs=(before,) * 4 + (within,) * 4)


def test_a_word_that_the_model_found_improbable_is_suspected() -> None:
    [suspect] = told(["Anna"], with_doubts(-0.1, -2.5)).suspected
    assert (suspect.word, suspect.time, suspect.avg_logprob) == ("Anna", 0.5, -2.5)
    assert told(["Anna"], with_doubts(-5, -1.5)).suspected == ()


def test_words_of_a_prompt_are_not_suspected() -> None:
    assert told(["Anna"], with_doubts(-0.1, -2.5), steered=PROMPTED).suspected == ()


def test_the_report_counts() -> None:
    dropped = Steering(prompt=(1, 2, 3), applied=1, dropped=named(["Kris"], "no room"), dropped_at=((1, 2),))
    found = told(["Jon", "Kris"], said("Thank you Kris."), steered=dropped)
    assert (found.given, found.applied, found.dropped) == (2, 1, dropped.dropped)
    assert found.dropped_at == ((1, 2),)
    assert (found.prompt_tokens, found.min_beams) == (3, 1)
    assert (told(["Jon"]).prompt_tokens, told(["Jon"]).min_beams) == (0, 3)


def test_five_thousand_words_and_a_text_without_them() -> None:
    words = tuple(f"word{number}" for number in range(5_000))
    assert report(Hotwords(words=words), PROMPTED, [said("nothing of the kind")], text_of).hits == ()


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        (" Katherine, Lynx.", True),
        ("lynx", True),
        ("张伟、李娜。", True),
        ("Katherine called.", False),
        ("Lynxes", False),
        ("", False),
        ("...", False),
    ],
)
def test_a_doubtful_text_of_prompt_words_alone_is_an_echo(text: str, echoed: bool) -> None:
    words = ["Katherine", "Lynx", "张伟", "李娜"]
    assert echoes_prompt(text, words, avg_logprob=-1.2) is echoed
    assert not echoes_prompt(text, words, avg_logprob=-0.2)
