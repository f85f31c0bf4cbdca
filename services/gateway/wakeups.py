"""Who in this process waits for which upload or job, and how stored facts wake them."""

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
    def on(self, *names: str) -> Iterator[asyncio.Event]:
        """An event that is set when something happens to one of these runs or jobs."""
        event = asyncio.Event()
        for name in names:
            self._waiting[name].add(event)
        try:
            yield event
        finally:
            for name in names:
                self._waiting[name].discard(event)
                if not self._waiting[name]:
                    del self._waiting[name]

    def close(self) -> None:
        """Tell everybody that the process stops."""
        self.closing = True
        self.wake_all()

    def wake(self, subject: str) -> None:
        """Something was stored: `live.res.<run>...` or `live.job.<owner>.<job>`."""
        _live, kind, *tokens = subject.split(".")
        name = tokens[0] if kind == "res" else tokens[-1]
        for event in self._waiting.get(name, ()):
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
