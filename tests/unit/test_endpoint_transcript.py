"""How the model's tokens become phrases with times."""

import pytest

from endpoint.transcript import Reading, compression_ratio, phrases

END = 100
FIRST = 200


def at(seconds: float) -> int:
    """The timestamp token of a time."""
    return FIRST + round(seconds / 0.02)


def read(*tokens: int, seconds: float = 10.0) -> Reading:
    return phrases(tokens, FIRST, END, seconds)


def spans(reading: Reading) -> list[tuple[float, float, tuple[int, ...]]]:
    return [(phrase.start, phrase.end, phrase.tokens) for phrase in reading.phrases]


def test_text_between_timestamps_is_a_phrase() -> None:
    reading = read(at(0), 1, 2, at(3), at(4), 3, at(6))
    assert spans(reading) == [(0, 3, (1, 2)), (4, 6, (3,))]
    assert reading.stopped_at is None
    assert [phrase.span for phrase in reading.phrases] == [slice(1, 3), slice(5, 6)]


def test_silence_is_no_phrase() -> None:
    assert read(at(0)).phrases == ()
    assert read().phrases == ()


def test_a_phrase_without_an_end_is_left_open() -> None:
    reading = read(at(0), 1, at(3), at(4), 2)
    assert spans(reading) == [(0, 3, (1,)), (4, 10, (2,))]
    assert reading.stopped_at == 4


def test_a_start_without_text_is_left_open() -> None:
    reading = read(at(0), 1, at(3), at(4))
    assert spans(reading) == [(0, 3, (1,))]
    assert reading.stopped_at == 4


def test_times_are_clipped_to_the_audio() -> None:
    assert spans(read(at(0), 1, at(12))) == [(0, 10, (1,))]


def test_phrases_after_the_audio_are_left_out_and_noted() -> None:
    reading = read(at(0), 1, at(3), at(26), 2, at(27))
    assert spans(reading) == [(0, 3, (1,))]
    assert reading.strayed


def test_special_tokens_are_no_text() -> None:
    assert spans(read(at(0), 1, END + 5, 2, at(3))) == [(0, 3, (1, 2))]


def test_repetition_shows_in_the_compression_ratio() -> None:
    assert compression_ratio("thank you " * 30) > 2.4
    assert compression_ratio("Please find the pipeline slowly.") == pytest.approx(0.8, abs=0.1)
    assert compression_ratio("") == 0
