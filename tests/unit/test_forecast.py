"""A job's place in line and the time it still takes, from what is stored."""

from typing import Any

import msgspec
import pytest

from services.contracts.channels import Channels
from services.contracts.messages import JobOptions, JobRecord, JobState, Lane
from services.gateway.forecast import Outlook, forecast
from services.gateway.ledger import Ledger
from services.gateway.progress import View
from services.gateway.tempo import Tempo

NOW = 1_000_000.0


def record(job: str, state: JobState, *, at: float, lane: Lane = Lane.SHORT, **facts: Any) -> JobRecord:
    return JobRecord(
        id=job,
        owner="o",
        user="u",
        session="s",
        name="talk.mp3",
        created_at=at,
        lane=lane,
        state=state,
        **{"options": JobOptions(), "upload_bytes": 60_000, **facts},
    )


def ended(
    job: str,
    *,
    seconds: float = 60.0,
    took: float = 30.0,
    lane: Lane = Lane.SHORT,
    at: float = NOW - 70,
    **facts: Any,
) -> JobRecord:
    """One that ended at `at` and did not wait."""
    return record(
        job,
        JobState.COMPLETED,
        at=at - took,
        lane=lane,
        started_at=at - took,
        ended_at=at,
        duration=round(seconds * 16_000),
        upload_bytes=round(seconds * 1000),
        **facts,
    )


def running(job: str, *, since: float, lane: Lane = Lane.SHORT, **facts: Any) -> JobRecord:
    return record(job, JobState.RUNNING, at=NOW - since, started_at=NOW - since, lane=lane, **facts)


def waiting(job: str, *, since: float, lane: Lane = Lane.SHORT, **facts: Any) -> JobRecord:
    return record(job, JobState.QUEUED, at=NOW - since, lane=lane, **facts)


def view(done: float = 0.0, total: float | None = None) -> View:
    return View(
        percent=0, transcribed_seconds=done, total_seconds=total, chunks_done=0, chunks_known=0, gaps=0
    )


def ledger(*records: JobRecord) -> Ledger:
    made = Ledger()
    for one in records:
        made.put(one, NOW)
    return made


def told(job: JobRecord, has: Ledger, seen: View | None = None, tempo: Tempo | None = None) -> Outlook:
    return forecast(job, seen or view(), tempo or Tempo(), has, NOW)


def left(job: JobRecord, has: Ledger) -> float | None:
    return told(job, has).seconds_left


def queue(lane: Lane, count: int, *, pause: float, took: float) -> list[JobRecord]:
    """Jobs that all came at once and ran one after the other, the last until 70 s ago."""
    begins = [NOW - 70 - (count - number) * (took + pause) + pause for number in range(count)]
    ends = [(number, begin + took) for number, begin in enumerate(begins)]
    return [
        msgspec.structs.replace(ended(f"q{number}", lane=lane, took=took, at=end), created_at=begins[0] - 1)
        for number, end in ends
    ]


def test_nothing_is_invented_for_a_first_job() -> None:
    waits = waiting("a", since=0)
    runs = running("b", since=5, lane=Lane.LONG)
    has = ledger(waits, runs)
    assert told(waits, has) == Outlook(position=1, seconds_left=None)
    assert told(runs, has) == Outlook()
    assert told(runs, has, view(done=10.0)) == Outlook()


def test_a_running_job_goes_on_at_its_own_tempo() -> None:
    """Whatever the jobs before it took."""
    runs = running("a", since=50)
    tempo = Tempo()
    for text in range(10):
        tempo.add(NOW - 9 + text, 20.0 * text, took=1.0)
    seen = view(done=180.0, total=400.0)
    assert told(runs, ledger(runs, ended("b")), seen, tempo).seconds_left == pytest.approx(11.0)
    unknown = view(done=180.0)
    assert told(runs, ledger(runs), unknown, tempo).seconds_left is None


def test_one_without_a_tempo_yet_takes_what_others_took() -> None:
    runs = running("a", since=10)
    assert left(runs, ledger(runs, ended("b"))) == 20.0


def test_one_that_is_overdue_is_not_about_to_end_for_ever() -> None:
    late = running("a", since=300)
    assert left(late, ledger(late, ended("b"))) == 30.0


def test_jobs_that_ended_last_count_for_more() -> None:
    """Twice as slow since others came."""
    runs = running("a", since=0)
    before = [ended(f"b{n}", took=30.0, at=NOW - 900 + n) for n in range(20)]
    since = [ended(f"s{n}", took=60.0, at=NOW - 500 + n) for n in range(8)]
    assert left(runs, ledger(runs, *before, *since)) == pytest.approx(60.0, rel=0.1)


def test_a_long_recording_is_told_by_short_ones() -> None:
    """10 s for any job, and one more for each 30 s of audio."""
    has = [ended(f"e{n}", seconds=s, took=10 + s / 30, at=NOW - 90 + n) for n, s in enumerate((30, 90, 60))]
    runs = running("a", since=0, upload_bytes=600_000)
    assert left(runs, ledger(runs, *has)) == pytest.approx(30.0)


def test_recordings_of_one_length_do_not_tell_what_a_longer_one_takes_beside_its_length() -> None:
    has = [ended(f"e{n}", seconds=s, took=20 + s / 6, at=NOW - 90 + n) for n, s in enumerate((60, 61, 60))]
    runs = running("a", since=0, upload_bytes=120_000)
    assert left(runs, ledger(runs, *has)) == pytest.approx(60.0, rel=0.05)


def test_who_waits_takes_the_place_that_is_free_first() -> None:
    """Two run and have 10 and 20 s left, each job takes 30 s: ends at 40, 50, 70."""
    runs = [running("a", since=20), running("b", since=10)]
    waits = [waiting(f"w{n}", since=10 - n) for n in range(3)]
    has = ledger(ended("e"), *waits, *runs)
    found = [told(one, has) for one in waits]
    assert [one.position for one in found] == [1, 2, 3]
    assert [one.seconds_left for one in found] == [40.0, 50.0, 70.0]


def test_places_that_are_empty_for_a_moment_count() -> None:
    """Three ran at once a while ago, one runs now: the first who waits begins at once."""
    before = [ended(f"e{n}", at=NOW - 70 + n) for n in range(3)]
    runs = running("a", since=20)
    waits = [waiting(f"w{n}", since=10 - n) for n in range(3)]
    has = ledger(*before, runs, *waits)
    assert [left(one, has) for one in waits] == [30.0, 30.0, 40.0]


def test_the_pause_between_two_jobs_counts() -> None:
    waits = [waiting(f"w{n}", since=10 - n) for n in range(4)]
    has = ledger(*queue(Lane.SHORT, 6, pause=5.0, took=30.0), *waits)
    assert left(waits[-1], has) == pytest.approx(4 * 35.0)


def test_a_place_that_nobody_waited_for_was_not_empty_for_long() -> None:
    """Jobs that came one by one, an hour apart."""
    before = [ended(f"e{n}", at=NOW - 3600 * (5 - n)) for n in range(5)]
    waits = waiting("w", since=0)
    assert left(waits, ledger(*before, waits)) == 30.0


def test_many_long_jobs_do_not_keep_a_short_one_waiting() -> None:
    short = waiting("s", since=0)
    longs = [waiting(f"l{n}", since=10, lane=Lane.LONG) for n in range(5)]
    experience = ended("e"), ended("f", seconds=9000.0, took=300.0, lane=Lane.LONG)
    assert told(short, ledger(short, *longs, *experience)) == Outlook(position=1, seconds_left=30.0)


def test_long_jobs_take_places_that_short_ones_had() -> None:
    """Of four places three are taken for 100 s more; shorts of 30 s follow each other in the fourth."""
    before = [ended(f"e{n}", at=NOW - 230 + n) for n in range(4)]
    long = ended("f", seconds=9000.0, took=300.0, lane=Lane.LONG, at=NOW - 400)
    runs = [running(f"l{n}", since=200, lane=Lane.LONG, upload_bytes=9_000_000) for n in range(3)]
    waits = [waiting(f"w{n}", since=10 - n) for n in range(4)]
    has = ledger(*before, long, *runs, *waits)
    assert [left(one, has) for one in waits] == [30.0, 60.0, 90.0, 120.0]


def test_a_job_of_unknown_length_hides_what_is_behind_it() -> None:
    unknown = waiting("u", since=10, upload_bytes=0)
    behind = waiting("w", since=5)
    has = ledger(ended("e"), unknown, behind)
    assert [left(one, has) for one in (unknown, behind)] == [None, None]


@pytest.mark.parametrize(
    "facts",
    [{"state": JobState.COMPLETED}, {"state": JobState.RUNNING, "attempt": 1, "started_at": NOW - 9}],
)
def test_a_job_that_is_over_or_tried_again_has_no_outlook(facts: dict[str, Any]) -> None:
    state = facts.pop("state")
    job = record("a", state, at=NOW - 60, **facts)
    assert told(job, ledger(job, ended("b")), view(done=1.0, total=9.0)) == Outlook()


def test_jobs_whose_channels_are_apart_tell_nothing_of_others() -> None:
    """Each second of theirs costs as much as one on every channel."""
    apart = JobOptions(channels=Channels.SPLIT)
    call = waiting("new", since=10, options=apart)
    mixed, own = ended("a", took=30), ended("b", took=90, options=apart)
    assert forecast(call, view(), Tempo(), ledger(mixed, call), NOW).seconds_left is None
    both = ledger(mixed, own, call)
    assert forecast(call, view(), Tempo(), both, NOW).seconds_left == pytest.approx(90, rel=0.1)
