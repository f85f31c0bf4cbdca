"""The sums that a user's limits are checked by, and what is said of each."""

from typing import Any

import pytest

from services.contracts.messages import JobOptions, JobRecord, JobState, Lane
from services.gateway.errors import OverLimit
from services.gateway.ledger import Ledger
from services.gateway.limits import Limits

NOW = 1_000_000.0
HOUR = 3600.0
UNLIMITED = Limits(jobs=0, uploads_per_minute=0, audio_seconds=0.0, retention_seconds=HOUR)


def record(job: str, **facts: Any) -> JobRecord:
    made = {"created_at": NOW - 1000.0, "state": JobState.QUEUED, **facts}
    return JobRecord(
        id=job, owner="o", user="u", session="s", name="n", options=JobOptions(), lane=Lane.SHORT, **made
    )


def ended(job: str, hours: float, ago: float, **facts: Any) -> JobRecord:
    return record(
        job,
        state=JobState.COMPLETED,
        ended_at=NOW - ago,
        duration=round(hours * HOUR * 16_000),
        **facts,
    )


def ledger(*records: JobRecord) -> Ledger:
    made = Ledger()
    for one in records:
        made.put(one, NOW)
    return made


def refused(limits: Limits, has: Ledger, entering: int = 0) -> OverLimit:
    with pytest.raises(OverLimit) as caught:
        limits.check(has, entering, NOW)
    return caught.value


def test_jobs_that_ended_or_were_deleted_are_not_open() -> None:
    has = ledger(record("a"), record("b"), record("c", state=JobState.RUNNING))
    assert set(has.open) == {"a", "b", "c"}
    has.put(ended("a", 1.0, ago=0.0), NOW)
    has.put(record("b", deleted=True, state=JobState.CANCELLED), NOW)
    assert set(has.open) == {"c"}
    assert has.known == {"a", "c"}


def test_uploads_of_the_last_minute_count_though_they_were_deleted() -> None:
    has = ledger(
        record("old", created_at=NOW - 61),
        record("a", created_at=NOW - 50),
        record("b", created_at=NOW - 5, deleted=True),
    )
    assert has.uploads(NOW) == [NOW - 50, NOW - 5]
    assert has.uploads(NOW + 20) == [NOW - 5]


def test_audio_counts_until_it_is_erased() -> None:
    has = ledger(ended("a", 2.0, ago=HOUR), ended("b", 1.0, ago=0.0), record("c"))
    has.put(ended("b", 1.0, ago=0.0), NOW)  # the same again
    assert has.stored_seconds(NOW - 2 * HOUR) == 3 * HOUR
    assert has.oldest_end() == NOW - HOUR
    assert has.stored_seconds(NOW - HOUR) == HOUR
    has.put(ended("b", 1.0, ago=0.0, deleted=True), NOW)
    assert has.stored_seconds(NOW - HOUR) == 0.0


def test_a_job_that_is_tried_again_counts_once() -> None:
    has = ledger(ended("a", 1.0, ago=HOUR))
    has.put(record("a", state=JobState.RUNNING, duration=round(HOUR * 16_000)), NOW)
    has.put(ended("a", 1.0, ago=0.0), NOW)
    assert has.stored_seconds(NOW - 2 * HOUR) == HOUR
    assert has.stored_seconds(NOW - HOUR) == HOUR


def test_without_limits_everything_goes() -> None:
    UNLIMITED.check(ledger(*(record(str(n), created_at=NOW) for n in range(50))), 50, NOW)


@pytest.mark.parametrize("entering", [0, 1])
def test_too_many_jobs(entering: int) -> None:
    limits = Limits(jobs=2, uploads_per_minute=0, audio_seconds=0.0, retention_seconds=HOUR)
    limits.check(ledger(record("a")), 0, NOW)
    error = refused(limits, ledger(*(record(str(n)) for n in range(2 - entering))), entering)
    assert (error.status, error.code) == (429, "too_many_jobs")
    assert "2 of your jobs run or wait, and one user may have 2" in str(error)
    assert error.retry_after


def test_uploads_too_fast_says_when_the_next_may_come() -> None:
    limits = Limits(jobs=0, uploads_per_minute=2, audio_seconds=0.0, retention_seconds=HOUR)
    has = ledger(*(record(str(ago), created_at=NOW - ago) for ago in (50, 40, 30)))
    error = refused(limits, has)
    assert (error.code, error.retry_after) == ("uploads_too_fast", 20.0)
    assert "you have sent 3 recordings within a minute, and one user may send 2" in str(error)
    limits.check(has, 0, NOW + 20.0)


def test_too_much_audio_says_when_the_oldest_goes() -> None:
    limits = Limits(jobs=0, uploads_per_minute=0, audio_seconds=2 * HOUR, retention_seconds=3 * HOUR)
    limits.check(ledger(ended("a", 1.9, ago=HOUR)), 0, NOW)
    error = refused(limits, ledger(ended("a", 1.5, ago=HOUR), ended("b", 0.6, ago=0.0)))
    assert (error.code, error.retry_after) == ("too_much_audio", 2 * HOUR)
    assert "2.1 hours of your audio are stored, and one user may have 2" in str(error)
