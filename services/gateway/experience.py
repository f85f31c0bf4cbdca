"""What a user's jobs tell of the next: how long one takes, how many run at once, what passes in between."""

import heapq
import math
from collections.abc import Collection, Iterable

import msgspec

from services.contracts.channels import Channels
from services.contracts.messages import Lane
from services.gateway.ledger import Ledger, Open

RECENT = 20
"""Recordings that a length is told by."""
FADING = 0.8
"""What a job counts for, beside the one that ended after it: load changes within some ten jobs."""
SPREAD = 0.3
"""How much lengths must differ, as a share of their mean, to tell what a second costs beside the job."""
OVERDUE = 0.1
"""A job that runs for longer than expected takes this share of that time more."""


class Stay(msgspec.Struct, frozen=True, order=True):
    """The time that a job had a place, in Unix time."""

    began: float
    ended: float
    """Infinity while it runs."""
    created: float
    lane: Lane


class Experience:
    """Drawn from a ledger as it is now."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._costs: dict[tuple[Lane, Channels], tuple[float, float] | None] = {}
        self._densities: dict[str, float | None] = {}

    def left(self, job: Open, now: float) -> float | None:
        """Seconds until a job that runs will end; None where nothing tells."""
        whole = self.whole(job)
        if whole is None:
            return None
        age = max(0.0, now - (job.started_at or now))
        return max(whole - age, OVERDUE * age)

    def whole(self, job: Open) -> float | None:
        """Seconds from a job's begin to its end; None where nothing tells."""
        like = (job.lane, job.channels)
        if like not in self._costs:
            self._costs[like] = self._cost(*like)
        if job.kind not in self._densities:
            self._densities[job.kind] = self._density(job.kind)
        cost, density = self._costs[like], self._densities[job.kind]
        if cost is None or density is None or not job.bytes:
            return None
        return cost[0] + cost[1] * density * job.bytes

    def places(self, lanes: Collection[Lane]) -> int:
        """The most jobs of these lanes that ran at once, 1 at least."""
        return _most(self._stays(lanes))

    def pause(self, lane: Lane) -> float:
        """Seconds from the end of a job to the begin of the one that waited for its place, on average."""
        rivals = (Lane.LONG,) if lane is Lane.LONG else lane.sharing
        return _mean(_pauses(self._stays(rivals), lane))

    def _density(self, kind: str) -> float | None:
        """Seconds of audio a byte, as the last files of this kind held."""
        recent = [one for one in self._ledger.ended if one.kind == kind][-RECENT:]
        size = sum(one.bytes for one in recent)
        return sum(one.seconds for one in recent) / size if size else None

    def _cost(self, lane: Lane, channels: Channels) -> tuple[float, float] | None:
        """What any job takes, and each second of audio beside it: a line through the lane's last jobs.

        Recordings of about one length cannot tell these apart: then all of it is by the second. Where each
        channel is on its own a second costs several times as much.
        """
        like = (lane, channels)
        last = [one for one in self._ledger.ended if (one.lane, one.channels) == like]
        lengths, times = [one.seconds for one in last], [one.took for one in last]
        length, time = _mean(lengths), _mean(times)
        if not length:
            return None
        spread = _mean((s - length) ** 2 for s in lengths)
        if spread >= (SPREAD * length) ** 2:
            each = _mean((s - length) * (t - time) for s, t in zip(lengths, times, strict=True)) / spread
            if 0 <= each * length <= time:
                return time - each * length, each
        return 0.0, time / length

    def _stays(self, lanes: Collection[Lane]) -> list[Stay]:
        ended = (
            Stay(one.started_at, one.ended_at, one.created_at, one.lane)
            for one in self._ledger.ended
            if one.lane in lanes
        )
        running = (
            Stay(one.started_at, math.inf, one.created_at, one.lane)
            for one in self._ledger.open.values()
            if one.lane in lanes and one.started_at is not None
        )
        return sorted([*ended, *running])


def _most(stays: Iterable[Stay]) -> int:
    ends: list[float] = []
    most = 1
    for stay in stays:
        while ends and ends[0] <= stay.began:
            heapq.heappop(ends)
        heapq.heappush(ends, stay.ended)
        most = max(most, len(ends))
    return most


def _pauses(stays: Collection[Stay], lane: Lane) -> Iterable[float]:
    """Of the lane's jobs that waited for their place; each takes the one that was free longest."""
    places = _most(stays)
    free: list[float] = []
    for stay in stays:
        if len(free) == places:
            since = heapq.heappop(free)
            if stay.lane is lane and stay.created < since:
                yield stay.began - since
        heapq.heappush(free, stay.ended)


def _mean(values: Iterable[float]) -> float:
    """The average, later ones counting for more; 0 of none."""
    total = weight = 0.0
    for value in values:
        total = total * FADING + value
        weight = weight * FADING + 1
    return total / weight if weight else 0.0
