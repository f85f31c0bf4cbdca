"""When a job will be done, as far as what is stored tells: its place in line, and the seconds left."""

import heapq
from collections.abc import Iterable

import msgspec

from services.contracts.messages import JobRecord, JobState, Lane
from services.gateway.ledger import Ended, Ledger, Open
from services.gateway.progress import View

RECENT = 20
"""Jobs that a pace is measured by."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is known; None where nothing tells."""

    position: int | None = None
    """Among the user's waiting jobs of its lane, 1 for the one that begins next."""
    seconds_left: float | None = None


def forecast(record: JobRecord, view: View, ledger: Ledger, now: float) -> Outlook:
    """The outlook of a job at `now` (Unix time). Gaps that are tried again are not foreseen."""
    job = ledger.open.get(record.id)
    if job is None or record.attempt or record.state.final:
        return Outlook()
    pace = _pace(ledger.ended, job.lane)
    if record.state is JobState.RUNNING:
        left = _measured(record, view, now)
        return Outlook(seconds_left=_foreseen(job, pace, ledger.ended, now) if left is None else left)
    lane = sorted(
        (one for one in ledger.open.values() if one.lane is job.lane), key=lambda one: one.created_at
    )
    ahead = [one for one in lane if one.started_at is None and one.created_at < job.created_at]
    running = [one for one in lane if one.started_at is not None]
    return Outlook(
        position=len(ahead) + 1, seconds_left=_in_line(job, ahead, running, pace, ledger.ended, now)
    )


def _measured(record: JobRecord, view: View, now: float) -> float | None:
    """From the pace of the job itself so far."""
    done, total, started = view.transcribed_seconds, view.total_seconds, record.started_at
    if not done or total is None or started is None or now <= started:
        return None
    return round(max(0.0, total - done) * (now - started) / done, 1)


def _foreseen(job: Open, pace: float | None, ended: Iterable[Ended], now: float) -> float | None:
    """From the pace of the jobs before it, for one that has no text yet; None where those tell nothing."""
    seconds = _length(job, ended)
    if seconds is None or pace is None:
        return None
    return round(max(0.0, seconds / pace - (now - (job.started_at or now))), 1)


def _in_line(
    job: Open, ahead: list[Open], running: list[Open], pace: float | None, ended: list[Ended], now: float
) -> float | None:
    """As many places as jobs run now; whoever waits takes the one that is free first."""
    free = [_foreseen(one, pace, ended, now) for one in running] or [0.0]
    needed = [_length(one, ended) for one in (*ahead, job)]
    if pace is None or None in free or None in needed:
        return None
    places = [left for left in free if left is not None]
    heapq.heapify(places)
    end = 0.0
    for seconds in needed:
        end = heapq.heappop(places) + (seconds or 0.0) / pace
        heapq.heappush(places, end)
    return round(end, 1)


def _pace(ended: list[Ended], lane: Lane) -> float | None:
    """Seconds of audio a second, of a job while it runs."""
    recent = [one for one in ended if one.lane is lane][-RECENT:]
    took = sum(one.took for one in recent)
    return sum(one.seconds for one in recent) / took if took else None


def _length(job: Open, ended: Iterable[Ended]) -> float | None:
    """Seconds of audio that a file of this kind and size holds, as recordings of the same user did."""
    recent = [one for one in ended if one.kind == job.kind][-RECENT:]
    size = sum(one.bytes for one in recent)
    return sum(one.seconds for one in recent) * job.bytes / size if size and job.bytes else None
