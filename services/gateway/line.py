"""How the line of a user's waiting jobs moves on: each takes the place that is free next."""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from services.contracts.messages import Lane


class Waiting(msgspec.Struct, frozen=True):
    """A job that waits."""

    number: int
    """In the line."""
    lane: Lane
    takes: float
    """Seconds, once it has a place."""


class Running(msgspec.Struct, frozen=True):
    """A job that has a place."""

    left: float
    """Seconds."""
    lane: Lane


class Places(msgspec.Struct, frozen=True):
    """How many jobs run at once, 1 at least."""

    all: int
    of: Mapping[Lane, int]
    """Of one lane; without an entry it may have all."""
    pause: float
    """Seconds that a place stays empty between two jobs."""

    def most(self, lane: Lane) -> int:
        """The most jobs of a lane that run at once."""
        return self.of.get(lane, self.all)


def end_of_last(waiting: Sequence[Waiting], running: Iterable[Running], places: Places) -> float:
    """Seconds until the last of those that wait will have ended, by the rule that lets jobs in.

    They begin in their order, but one whose lane has all its places is passed over.
    """
    queues: defaultdict[Lane, deque[Waiting]] = defaultdict(deque)
    for job in waiting:
        queues[job.lane].append(job)
    ends = [(one.left, one.lane) for one in running]
    heapq.heapify(ends)
    taken = Counter(lane for _, lane in ends)
    now = 0.0
    while True:
        heads = [queue[0] for lane, queue in queues.items() if queue and taken[lane] < places.most(lane)]
        if not heads or len(ends) >= places.all:
            now, freed = heapq.heappop(ends)
            taken[freed] -= 1
            continue
        job = min(heads, key=lambda head: head.number)
        end = now + places.pause + job.takes
        if job is waiting[-1]:
            return end
        queues[job.lane].popleft()
        taken[job.lane] += 1
        heapq.heappush(ends, (end, job.lane))
