"""When a job will be done, as far as what is stored tells: its place in line, and the seconds left."""

import math

import msgspec

from services.contracts.messages import JobRecord, JobState, Lane
from services.gateway.experience import Experience
from services.gateway.ledger import Ledger, Open
from services.gateway.line import Places, Running, Waiting, end_of_last
from services.gateway.progress import View
from services.gateway.tempo import Tempo


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is known; None where nothing tells."""

    position: int | None = None
    """Among the user's waiting jobs of its lane, 1 for the one that begins next."""
    seconds_left: float | None = None


def forecast(record: JobRecord, view: View, tempo: Tempo, ledger: Ledger, now: float) -> Outlook:
    """The outlook of a job at `now` (Unix time, by the broker's clock). Gaps tried again are not foreseen."""
    job = ledger.open.get(record.id)
    if job is None or record.attempt or record.state.final:
        return Outlook()
    experience = Experience(ledger)
    if record.state is JobState.RUNNING:
        left = _measured(view, tempo, now)
        return Outlook(seconds_left=_rounded(experience.left(job, now) if left is None else left))
    line = _line(job, ledger)
    left = _in_line(line, _running(job.lane, ledger), experience, now)
    return Outlook(position=sum(one.lane is job.lane for one in line), seconds_left=_rounded(left))


def _measured(view: View, tempo: Tempo, now: float) -> float | None:
    """By the job's own texts so far."""
    if view.total_seconds is None:
        return None
    return tempo.seconds_for(max(0.0, view.total_seconds - view.transcribed_seconds), now)


def _in_line(line: list[Open], running: list[Open], experience: Experience, now: float) -> float | None:
    """By how the line moved on so far, of which the job is the last; what nothing is known of ends never."""
    waiting = [Waiting(n, one.lane, _known(experience.whole(one))) for n, one in enumerate(line)]
    have_places = [Running(_known(experience.left(one, now)), one.lane) for one in running]
    end = end_of_last(waiting, have_places, _places(line, running, experience))
    return end if end < math.inf else None


def _line(job: Open, ledger: Ledger) -> list[Open]:
    """The jobs that wait for the same places, in their order, up to this one."""
    rivals = (
        one
        for one in ledger.open.values()
        if one.started_at is None and one.lane in job.lane.sharing and one.created_at < job.created_at
    )
    return [*sorted(rivals, key=lambda one: one.created_at), job]


def _running(lane: Lane, ledger: Ledger) -> list[Open]:
    return [one for one in ledger.open.values() if one.started_at is not None and one.lane in lane.sharing]


def _places(line: list[Open], running: list[Open], experience: Experience) -> Places:
    """Long jobs never have all of them."""
    lane = line[-1].lane
    longs = experience.places((Lane.LONG,))
    least = longs + 1 if any(one.lane is Lane.LONG for one in (*line, *running)) else 1
    return Places(
        all=max(least, experience.places(lane.sharing)),
        of={Lane.LONG: longs},
        pause=experience.pause(lane),
    )


def _known(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
