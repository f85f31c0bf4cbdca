"""What jobs use, counted from their events and added up: pure rules."""

import msgspec
import pytest

from services.contracts import topology
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobState,
    Problem,
    Range,
)
from services.contracts.usage import DayUsed, Figures, JobUsed, Tally, added

SECOND = 16_000
OWNER, JOB = "owner", "job"


def cut(chunk: int, skipped: int = 0) -> ChunkCut:
    start = chunk * 20 * SECOND
    return ChunkCut(
        chunk=chunk,
        start=start + skipped * SECOND,
        end=start + 20 * SECOND,
        skipped=(Range(start, start + skipped * SECOND),) if skipped else (),
    )


def text(chunk: int, seconds: float) -> ChunkTranscribed:
    return ChunkTranscribed(
        chunk=chunk, start=0, end=1, text="", language="en", segments=(), endpoint_seconds=seconds
    )


def gap(chunk: int) -> ChunkFailed:
    return ChunkFailed(chunk=chunk, start=0, end=1, attempt=0, problem=Problem(code="x", message="x"))


def end(attempt: int = 0, seconds: int = 45, state: JobState = JobState.COMPLETED) -> JobEnded:
    skipped = (Range(40 * SECOND, seconds * SECOND),) if seconds > 40 else ()
    return JobEnded(state=state, attempt=attempt, chunks=2, duration=seconds * SECOND, skipped=skipped)


def facts(
    events: list[JobEvent], *, run: int = 0, attempt: int = 0, last: JobEnded | None = None
) -> dict[str, Figures]:
    tally = Tally()
    for event in events:
        tally.add(event)
    found = tally.facts("ann", OWNER, JOB, run, attempt, last)
    assert {fact.user for fact in found.values()} == {"ann"}
    return {subject: fact.figures for subject, fact in found.items()}


def test_a_job_counts_its_sound_its_silence_and_its_time_at_the_endpoint() -> None:
    used = Figures(jobs=1, audio=45 * SECOND, skipped=8 * SECOND, endpoint_seconds=3.5)
    events: list[JobEvent] = [cut(0), cut(1, skipped=3), text(1, 1.5), text(0, 2.0)]
    assert facts(events, last=end()) == {"usage.owner.job-0.0": used}


def test_each_channel_counts_where_they_are_apart() -> None:
    """One speaks for 40 of 45 seconds, one from second 23 to 40, one never."""
    cuts = (on(0, cut(0)), on(1, cut(1, skipped=3)), on(0, cut(1)))
    first_and_second, third = (Range(40 * SECOND, 45 * SECOND),), (Range(0, 45 * SECOND),)
    last = msgspec.structs.replace(
        end(), skipped=(), skipped_by_channel=(first_and_second, first_and_second, third)
    )
    used = Figures(jobs=1, audio=3 * 45 * SECOND, skipped=(3 + 5 + 5 + 45) * SECOND)
    assert facts([*cuts], last=last) == {"usage.owner.job-0.0": used}


def on(channel: int, event: ChunkCut) -> ChunkCut:
    return msgspec.structs.replace(event, channel=channel)


def test_what_has_no_end_counts_up_to_its_last_chunk() -> None:
    used = Figures(jobs=1, audio=20 * SECOND, endpoint_seconds=1.0)
    assert facts([cut(0), text(0, 1.0)]) == {"usage.owner.job-0.0": used}


def test_an_attempt_counts_only_what_it_added() -> None:
    before: list[JobEvent] = [cut(0), cut(1, skipped=3), text(0, 2.0), gap(1), end()]
    assert facts([*before, text(1, 1.5)], attempt=1, last=end(1)) == {
        "usage.owner.job-0.1": Figures(endpoint_seconds=1.5)
    }
    assert facts([*before, text(1, 1.5), end(1)], attempt=2, last=end(2)) == {
        "usage.owner.job-0.2": Figures()
    }


def test_a_first_attempt_that_failed_leaves_the_sound_to_the_next() -> None:
    failed = end(0, seconds=0, state=JobState.FAILED)
    assert facts([failed, cut(0), cut(1), text(0, 1.0)], attempt=1, last=end(1)) == {
        "usage.owner.job-0.1": Figures(audio=45 * SECOND, skipped=5 * SECOND, endpoint_seconds=1.0)
    }


def test_a_job_whose_upload_was_begun_again_counts_once() -> None:
    """Its first upload may have left a fact or none: create-only, both come to one job."""
    first = facts([cut(0)], last=end(0, seconds=20))
    again = facts([cut(0)], run=1, last=end())
    assert again[topology.usage(OWNER, "job-1", 0)].jobs == 0
    assert again[topology.usage(OWNER, "job-0", 0)] == Figures(jobs=1)
    assert sum(figures.jobs for figures in {**again, **first}.values()) == 1


@pytest.mark.parametrize("order", [(5, 6, 7), (5, 5, 6, 7), (5, 6, 5, 6, 7), (5, 6, 7, 7, 6)])
def test_a_fact_that_comes_again_is_added_once(order: tuple[int, ...]) -> None:
    day = DayUsed(user="ann")
    for sequence in order:
        fact = JobUsed(user="ann", figures=Figures(jobs=1, audio=sequence))
        day = added(day, fact, sequence)
    assert day == DayUsed(user="ann", sequence=7, figures=Figures(jobs=3, audio=18))
