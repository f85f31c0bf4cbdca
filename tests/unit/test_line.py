"""The line of waiting jobs moves on as places are free."""

import math

from services.contracts.messages import Lane
from services.gateway.line import Places, Running, Waiting, end_of_last

SHORT, LONG = Lane.SHORT, Lane.LONG


def line(*jobs: tuple[Lane, float]) -> list[Waiting]:
    return [Waiting(number, lane, takes) for number, (lane, takes) in enumerate(jobs)]


def places(most: int, *, longs: int | None = None, pause: float = 0.0) -> Places:
    return Places(all=most, of={} if longs is None else {LONG: longs}, pause=pause)


def test_one_that_finds_a_place_begins_at_once() -> None:
    assert end_of_last(line((SHORT, 30.0)), [], places(1)) == 30.0
    assert end_of_last(line((SHORT, 30.0)), [Running(99.0, SHORT)], places(2)) == 30.0


def test_each_takes_the_place_that_is_free_first() -> None:
    runs = [Running(10.0, SHORT), Running(40.0, SHORT)]
    assert end_of_last(line(*[(SHORT, 30.0)] * 2), runs, places(2)) == 70.0
    assert end_of_last(line((SHORT, 10.0), (SHORT, 10.0), (SHORT, 30.0)), runs, places(2)) == 60.0


def test_every_place_is_empty_for_a_moment() -> None:
    assert end_of_last(line(*[(SHORT, 30.0)] * 3), [Running(10.0, SHORT)], places(1, pause=2.0)) == 106.0


def test_a_lane_that_has_all_its_places_is_passed_over() -> None:
    waiting = line((LONG, 1000.0), (LONG, 1000.0), (SHORT, 30.0))
    assert end_of_last(waiting, [Running(500.0, LONG)], places(2, longs=1)) == 30.0
    assert end_of_last(line((LONG, 1000.0)), [Running(500.0, LONG)], places(2, longs=1)) == 1500.0


def test_what_never_ends_keeps_its_place_only() -> None:
    runs = [Running(math.inf, LONG)]
    assert end_of_last(line((SHORT, 30.0)), runs, places(2)) == 30.0
    assert end_of_last(line((SHORT, 30.0)), runs, places(1)) == math.inf


def test_more_may_run_than_were_ever_seen() -> None:
    """Somebody gave the user more places a moment ago."""
    runs = [Running(10.0, SHORT), Running(20.0, SHORT), Running(30.0, SHORT)]
    assert end_of_last(line((SHORT, 30.0)), runs, places(2)) == 50.0
