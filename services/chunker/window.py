"""How many of a user's chunks may wait for their text at once, shared by the user's running jobs.

What waits is read from the queue itself, so that jobs of one user in different processes share one window
and nothing has to be given back when a process dies.
"""

import time
from collections.abc import Collection, Iterable

from prometheus_client import Counter

from services.chunker.outcomes import Outcomes
from services.common.bus import Bus
from services.contracts import topology
from services.contracts.messages import Lane, StartJob
from services.contracts.topology import Stream

STALLED_SECONDS = Counter(
    "whisper_window_stall_seconds_total", "Time that chunks waited for their user's window to open"
)


def is_open(own: int, others: int, jobs: int, size: int) -> bool:
    """Whether a job with `own` waiting chunks may send one more, beside `others` of its user's other jobs.

    While the window has room, whoever is ready takes it. A job below its equal share may send anyway, and
    those above theirs then wait until they are not. So a user's chunks exceed `size` only while those sent
    before another job began have no text, by that job's share: with four jobs, at most twice as many.
    """
    return own + others < size or own < max(1, size // max(1, jobs))


class Window:
    """One job's view of its user's window."""

    def __init__(self, bus: Bus, outcomes: Outcomes, command: StartJob, lane: Lane, size: int) -> None:
        self._bus = bus
        self._outcomes = outcomes
        self._owner = command.owner
        self._lanes = lane.sharing
        self._size = size

    async def until_open(self, sent: Collection[int], number: int) -> None:
        """Wait until the job that has `sent` these chunks may send chunk `number`.

        One that is queued from before, or comes before one that is, has its place already. It is not waited
        for: after a crash of the broker the queue may hold chunks that it gives to nobody until sent anew.
        """
        while True:
            looks = self._outcomes.looks
            if await self._is_open(sent, number):
                return
            began = time.monotonic()
            await self._outcomes.until_looked(looks)
            STALLED_SECONDS.inc(time.monotonic() - began)

    async def _is_open(self, sent: Collection[int], number: int) -> bool:
        queued = self._sharing(await self._bus.subjects(Stream.CHUNK, topology.chunk("*", self._owner, "*")))
        runs = [(topology.run_of_work(subject), int(subject.rpartition(".")[2])) for subject in queued]
        own = {chunk for run, chunk in runs if run == self._outcomes.run}
        outstanding = len(set(sent) - self._outcomes.settled)
        if number <= max(own, default=-1) and outstanding < self._size:
            return True
        others = sum(run != self._outcomes.run for run, _ in runs)
        count = len(own.union(sent) - self._outcomes.settled)
        if count + others < self._size:
            return True
        jobs = self._sharing(await self._bus.subjects(Stream.CTL, topology.control("*", self._owner, "*")))
        return is_open(count, others, len(jobs), self._size)

    def _sharing(self, work: Iterable[str]) -> list[str]:
        """The user's work in the lanes that share the window."""
        return [subject for subject in work if topology.lane_of_work(subject) in self._lanes]
