"""Who in this process waits for news of which job, and how stored facts wake them."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from services.common.bus import Bus
from services.contracts import topology


class Wakeups:
    """One subscription for all readers of this process; a wake-up may be lost, so waiters look again."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.closing = False
        """The process stops: whoever waits ends what it does."""

    @contextlib.contextmanager
    def on(self, job: str) -> Iterator[asyncio.Event]:
        """An event that is set when something happens to this job, in any of its runs."""
        event = asyncio.Event()
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
        for event in self._waiting.get(topology.job_of_wakeup(subject), ()):
            event.set()

    def wake_all(self) -> None:
        """Anything may have happened."""
        for events in self._waiting.values():
            for event in events:
                event.set()


WAKEUPS = web.AppKey("wakeups", Wakeups)


@contextlib.asynccontextmanager
async def wakeups(bus: Bus) -> AsyncIterator[Wakeups]:
    """Wake-ups for every result and every job record."""
    waiting = Wakeups()
    subjects = (topology.live_results(), topology.live_job())
    async with bus.listening(subjects, heard=waiting.wake, missed=waiting.wake_all):
        yield waiting
