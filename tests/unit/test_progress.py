"""Progress as a fold: estimates, percent that never falls, gaps, attempts."""

import pytest

from services.contracts.inference import SAMPLE_RATE
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
from services.gateway.progress import Progress


def cut(chunk: int, start: float, end: float, *, source_bytes: int, skipped: float = 0.0) -> ChunkCut:
    silence = (Range(round((start - skipped) * SAMPLE_RATE), round(start * SAMPLE_RATE)),) if skipped else ()
    return ChunkCut(
        chunk=chunk,
        start=round(start * SAMPLE_RATE),
        end=round(end * SAMPLE_RATE),
        skipped=silence,
        source_bytes=source_bytes,
    )


def text(chunk: int, start: float, end: float) -> ChunkTranscribed:
    return ChunkTranscribed(
        chunk=chunk,
        start=round(start * SAMPLE_RATE),
        end=round(end * SAMPLE_RATE),
        text="x",
        language="en",
        segments=(),
    )


def gap(chunk: int, start: float, end: float, attempt: int = 0) -> ChunkFailed:
    return ChunkFailed(
        chunk=chunk,
        start=round(start * SAMPLE_RATE),
        end=round(end * SAMPLE_RATE),
        attempt=attempt,
        problem=Problem(code="endpoint_failed", message="It failed."),
    )


def end(seconds: float, state: JobState = JobState.COMPLETED, attempt: int = 0) -> JobEnded:
    return JobEnded(state=state, attempt=attempt, chunks=2, duration=round(seconds * SAMPLE_RATE))


def folded(*events: JobEvent) -> Progress:
    progress = Progress()
    for sequence, event in enumerate(events, start=1):
        progress.add(sequence, event, at=float(sequence))
    return progress


def test_nothing_is_known_at_first() -> None:
    view = folded().view(1000)
    assert (view.percent, view.total_seconds, view.chunks_known) == (0, None, 0)


def test_the_total_is_estimated_from_the_bytes_decoded_so_far() -> None:
    progress = folded(cut(0, 0, 20, source_bytes=250), text(0, 0, 20))
    view = progress.view(1000)
    assert (view.total_seconds, view.percent, view.transcribed_seconds) == (80.0, 25, 20.0)


def test_without_a_size_there_is_no_estimate() -> None:
    assert folded(cut(0, 0, 20, source_bytes=250), text(0, 0, 20)).view(None).total_seconds is None


def test_percent_never_falls_when_the_estimate_grows() -> None:
    progress = folded(cut(0, 0, 20, source_bytes=500), text(0, 0, 20))
    assert progress.view(1000).percent == 50
    progress.add(3, cut(1, 20, 60, source_bytes=600), at=3.0)
    assert progress.view(1000).total_seconds == 100.0
    assert progress.view(1000).percent == 50


def test_a_settled_chunk_settles_the_silence_before_it() -> None:
    progress = folded(cut(0, 10, 20, source_bytes=1000, skipped=10), text(0, 10, 20))
    assert progress.view(1000).transcribed_seconds == 20.0


def test_only_a_completed_job_is_at_100_percent() -> None:
    events = (cut(0, 0, 20, source_bytes=1000), text(0, 0, 20))
    assert folded(*events).view(1000).percent == 99
    assert folded(*events, end(20)).view(1000).percent == 100
    assert folded(*events, end(20, JobState.FAILED)).view(1000).percent == 99
    assert folded(end(0)).view(1000).percent == 100


def test_a_decoded_length_is_believed_over_the_estimate() -> None:
    progress = folded(cut(0, 0, 20, source_bytes=250), text(0, 0, 20))
    assert progress.view(1000, duration=40 * SAMPLE_RATE).total_seconds == 40.0


def test_a_gap_counts_as_done_until_a_later_attempt_fills_it() -> None:
    progress = folded(cut(0, 0, 20, source_bytes=1000), gap(0, 0, 20))
    assert (progress.view(1000).gaps, progress.view(1000).chunks_done) == (1, 1)
    progress.add(3, text(0, 0, 20), at=3.0)
    assert (progress.view(1000).gaps, progress.view(1000).chunks_done) == (0, 1)
    assert progress.view(1000).transcribed_seconds == 20.0


def test_a_new_attempt_counts_the_gaps_it_tries_as_not_done() -> None:
    progress = folded(
        cut(0, 0, 30, source_bytes=500),
        cut(1, 30, 40, source_bytes=1000),
        text(0, 0, 30),
        gap(1, 30, 40),
        end(40),
    )
    assert progress.view(1000).percent == 100
    again = progress.view(1000, 40 * SAMPLE_RATE, attempt=1)
    assert (again.percent, again.chunks_done, again.gaps, again.transcribed_seconds) == (75, 1, 1, 30.0)
    progress.add(6, gap(1, 30, 40, attempt=1), at=6.0)
    again = progress.view(1000, 40 * SAMPLE_RATE, attempt=1)
    assert (again.percent, again.chunks_done, again.gaps) == (99, 2, 1)
    progress.add(7, end(40, attempt=1), at=7.0)
    assert progress.view(1000, attempt=1).percent == 100


def test_an_attempt_that_ended_early_leaves_nothing_open() -> None:
    progress = folded(cut(0, 0, 20, source_bytes=1000), gap(0, 0, 20), end(20), end(20, attempt=1))
    view = progress.view(1000, attempt=1)
    assert (view.percent, view.chunks_done, view.gaps) == (100, 1, 1)


def test_a_gap_after_the_text_changes_nothing() -> None:
    assert folded(cut(0, 0, 20, source_bytes=1), text(0, 0, 20), gap(0, 0, 20)).view(1).gaps == 0


def test_an_event_seen_twice_counts_once() -> None:
    progress = folded(cut(0, 0, 20, source_bytes=1000), text(0, 0, 20))
    progress.add(2, text(0, 0, 20), at=2.0)
    assert progress.view(1000).chunks_done == 1


def test_texts_tell_how_fast_the_job_goes_once() -> None:
    """A second a chunk of 20 s, silence included; an event seen twice is one."""
    progress = folded()
    for chunk in range(4):
        start = 20 * chunk
        progress.add(2 * chunk + 1, cut(chunk, start + 5, start + 20, source_bytes=250, skipped=5), at=0.0)
        progress.add(2 * chunk + 2, text(chunk, start + 5, start + 20), at=chunk + 1.0)
        progress.add(2 * chunk + 2, text(chunk, start + 5, start + 20), at=chunk + 50.0)
    assert progress.tempo.seconds_for(200.0, now=4.0) == pytest.approx(10.0)


@pytest.mark.parametrize(("attempt", "ended"), [(0, True), (1, False)])
def test_an_end_counts_for_its_attempt_and_earlier_ones(attempt: int, ended: bool) -> None:
    assert (folded(end(20)).end_of(attempt) is not None) is ended
