"""How long a job still takes, from when its texts came."""

import pytest

from services.gateway.tempo import Tempo

CHUNK = 25.0
"""Seconds of audio."""


def bursts(count: int, *, of: int, every: float = 1.0, begin: float = 0.0) -> list[float]:
    """When texts come of which `of` are made at once; those of one burst a hundredth of a second apart."""
    return [begin + burst * every + place / 100 for burst in range(count) for place in range(of)]


def told(times: list[float], *, took: float = 1.0) -> Tempo:
    tempo = Tempo()
    for number, at in enumerate(times, start=1):
        tempo.add(at, number * CHUNK, took)
    return tempo


def test_nothing_is_told_before_the_third_burst() -> None:
    for texts in ([], bursts(1, of=1), bursts(1, of=8), bursts(2, of=8)):
        assert told(texts).seconds_for(100 * CHUNK, now=1.5) is None
    assert told(bursts(3, of=8)).seconds_for(100 * CHUNK, now=2.07) is not None


def test_a_burst_of_an_endpoint_that_did_not_say_how_long_it_took_is_none_for_long() -> None:
    times = bursts(3, of=4)
    assert told(times, took=0.0).seconds_for(100 * CHUNK, now=2.03) == pytest.approx(25.0, rel=0.1)


@pytest.mark.parametrize("of", [1, 2, 4, 8])
@pytest.mark.parametrize("begin", [0.0, 60.0])
def test_what_came_before_the_first_text_does_not_count(of: int, begin: float) -> None:
    times = bursts(10, of=of, begin=begin)
    assert told(times).seconds_for(40 * CHUNK, now=times[-1]) == pytest.approx(40 / of, rel=0.1)


@pytest.mark.parametrize("of", [1, 4, 8])
def test_the_first_text_of_a_burst_is_not_taken_for_all_of_it(of: int) -> None:
    """With the third burst about to come, of 100 chunks."""
    times = bursts(3, of=of)[: 2 * of + 1]
    true = (100 - 3 * of) / of
    assert told(times).seconds_for((100 - len(times)) * CHUNK, now=2.0) == pytest.approx(true, rel=0.3)


def test_between_two_bursts_time_passes() -> None:
    tempo = told(bursts(10, of=4))
    left = tempo.seconds_for(40 * CHUNK, now=9.03)
    assert left is not None
    assert tempo.seconds_for(40 * CHUNK, now=9.53) == pytest.approx(left - 0.5)


def test_a_job_that_stands_still_comes_no_nearer_to_its_end() -> None:
    tempo = told(bursts(10, of=4))
    assert tempo.seconds_for(40 * CHUNK, now=11.0) == tempo.seconds_for(40 * CHUNK, now=500.0)


def test_later_texts_count_for_more() -> None:
    """Others came, and it goes half as fast; by the time as many texts came like that, it is believed."""
    times = bursts(10, of=4) + bursts(10, of=4, begin=11.0, every=2.0)
    assert told(times).seconds_for(40 * CHUNK, now=times[-1]) == pytest.approx(20.0, rel=0.2)


def test_a_stop_in_between_is_forgotten() -> None:
    times = bursts(10, of=4) + bursts(40, of=4, begin=40.0)
    assert told(times).seconds_for(40 * CHUNK, now=times[-1]) == pytest.approx(10.0, rel=0.3)


def test_one_chunk_takes_no_less_than_any_took() -> None:
    tempo = told(bursts(10, of=4))
    assert tempo.seconds_for(CHUNK, now=9.03) == pytest.approx(1.0)
    assert tempo.seconds_for(0.0, now=9.03) == 0.0


def test_texts_of_one_time_or_out_of_time_do_no_harm() -> None:
    assert told([5.0] * 9).seconds_for(CHUNK, now=9.0) is None
    assert told([5.0, 3.0, 4.0, 1.0]).seconds_for(CHUNK, now=9.0) is None
