"""Who in this process waits for news of which job, and how stored facts wake them."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from services.common.bus import Bus
from services.contracts import topology
from services.gateway.standings import Standings


class News(asyncio.Event):
    """Set when something happens to a job, and knows what, as far as wake-ups tell."""

    def __init__(self) -> None:
        super().__init__()
        self._results = 0
        self._uncertain = True

    def heard(self, *, result: bool) -> None:
        """One more result is stored, or anything may have happened."""
        self._results += result
        self._uncertain |= not result
        self.set()

    def take(self) -> int | None:
        """How many results were stored since the last call; None where more may have happened than that."""
        taken = None if self._uncertain or not self.is_set() else self._results
        self._results, self._uncertain = 0, False
        self.clear()
        return taken


class Wakeups:
    """One subscription for all readers of this process; a wake-up may be lost, so waiters look again."""

    def __init__(self, standings: Standings) -> None:
        """`standings` forgets what may have changed."""
        self._standings = standings
        self._waiting: defaultdict[str, set[News]] = defaultdict(set)
        self.closing = False
        """The process stops: whoever waits ends what it does."""

    @contextlib.contextmanager
    def on(self, job: str) -> Iterator[News]:
        """An event that is set when something happens to this job, in any of its runs."""
        event = News()
        self._waiting[job].add(event)
        try:
            yield event
        finally:
            self._waiting[job].discard(event)
            if not self._waiting[job]:
                del self._waiting[job]

    def close(self) -> None:
        """Tell everybody that the process stops."""
        self.closing = True
        self.wake_all()

    def wake(self, subject: str) -> None:
        """Something was stored under this subject."""
        job, result = topology.job_of_wakeup(subject), topology.is_result(subject)
        self._standings.forget(job)
        for event in self._waiting.get(job, ()):
            event.heard(result=result)

    def wake_all(self) -> None:
        """Anything may have happened."""
        self._standings.forget_all()
        for events in self._waiting.values():
            for event in events:
                event.heard(result=False)


WAKEUPS = web.AppKey("wakeups", Wakeups)


@contextlib.asynccontextmanager
async def wakeups(bus: Bus, standings: Standings) -> AsyncIterator[Wakeups]:
    """Wake-ups for every result and every job record."""
    waiting = Wakeups(standings)
    subjects = (topology.live_results(), topology.live_job())
    async with bus.listening(subjects, heard=waiting.wake, missed=waiting.wake_all):
        yield waiting
