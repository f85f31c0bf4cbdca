"""A job's place in line and the time it still takes, from what is stored."""

from typing import Any

import pytest

from services.contracts.messages import JobOptions, JobRecord, JobState, Lane
from services.gateway.forecast import Outlook, forecast
from services.gateway.ledger import Ledger
from services.gateway.progress import View

NOW = 1_000_000.0


def record(job: str, state: JobState, *, at: float, lane: Lane = Lane.SHORT, **facts: Any) -> JobRecord:
    return JobRecord(
        id=job,
        owner="o",
        user="u",
        session="s",
        name="talk.mp3",
        options=JobOptions(),
        created_at=at,
        lane=lane,
        state=state,
        **{"upload_bytes": 60_000, **facts},
    )


def ended(job: str, *, seconds: float = 60.0, took: float = 30.0, lane: Lane = Lane.SHORT) -> JobRecord:
    return record(
        job,
        JobState.COMPLETED,
        at=NOW - 500,
        lane=lane,
        started_at=NOW - 100,
        ended_at=NOW - 100 + took,
        duration=round(seconds * 16_000),
        upload_bytes=round(seconds * 1000),
    )


def view(done: float = 0.0, total: float | None = None) -> View:
    return View(
        percent=0, transcribed_seconds=done, total_seconds=total, chunks_done=0, chunks_known=0, gaps=0
    )


def ledger(*records: JobRecord) -> Ledger:
    made = Ledger()
    for one in records:
        made.put(one, NOW)
    return made


def test_nothing_is_invented_for_a_first_job() -> None:
    waits = record("a", JobState.QUEUED, at=NOW)
    runs = record("b", JobState.RUNNING, at=NOW, started_at=NOW - 5, lane=Lane.LONG)
    has = ledger(waits, runs)
    assert forecast(waits, view(), has, NOW) == Outlook(position=1, seconds_left=None)
    assert forecast(runs, view(), has, NOW) == Outlook()
    assert forecast(runs, view(done=10.0), has, NOW) == Outlook()


def test_a_running_job_goes_on_at_its_own_pace() -> None:
    runs = record("a", JobState.RUNNING, at=NOW - 60, started_at=NOW - 50)
    assert forecast(runs, view(done=100.0, total=400.0), ledger(runs, ended("b")), NOW).seconds_left == 150.0


def test_one_without_text_yet_takes_what_others_took() -> None:
    runs = record("a", JobState.RUNNING, at=NOW - 60, started_at=NOW - 10)
    assert forecast(runs, view(), ledger(runs, ended("b")), NOW).seconds_left == 20.0
    late = record("a", JobState.RUNNING, at=NOW - 60, started_at=NOW - 99)
    assert forecast(late, view(), ledger(late, ended("b")), NOW).seconds_left == 0.0


def test_who_waits_takes_the_place_that_is_free_first() -> None:
    """Two run and have 10 and 20 s left, each job takes 30 s: ends at 40, 50, 70."""
    running = [
        record("a", JobState.RUNNING, at=NOW - 60, started_at=NOW - 20),
        record("b", JobState.RUNNING, at=NOW - 60, started_at=NOW - 10),
    ]
    waiting = [record(f"w{n}", JobState.QUEUED, at=NOW - 10 + n) for n in range(3)]
    has = ledger(ended("e"), *waiting, *running)
    found = [forecast(one, view(), has, NOW) for one in waiting]
    assert [one.position for one in found] == [1, 2, 3]
    assert [one.seconds_left for one in found] == [40.0, 50.0, 70.0]


def test_lanes_do_not_wait_for_each_other() -> None:
    short = record("s", JobState.QUEUED, at=NOW)
    longs = [record(f"l{n}", JobState.QUEUED, at=NOW - 10, lane=Lane.LONG) for n in range(5)]
    has = ledger(short, *longs, ended("e"), ended("f", seconds=9000.0, took=300.0, lane=Lane.LONG))
    assert forecast(short, view(), has, NOW) == Outlook(position=1, seconds_left=30.0)


@pytest.mark.parametrize(
    "facts",
    [{"state": JobState.COMPLETED}, {"state": JobState.RUNNING, "attempt": 1, "started_at": NOW - 9}],
)
def test_a_job_that_is_over_or_tried_again_has_no_outlook(facts: dict[str, Any]) -> None:
    state = facts.pop("state")
    job = record("a", state, at=NOW - 60, **facts)
    assert forecast(job, view(done=1.0, total=9.0), ledger(job, ended("b")), NOW) == Outlook()
