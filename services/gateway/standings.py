"""How jobs stand, encoded, for clients that ask again and again; kept until a wake-up tells that one changed.

A wake-up may be lost: nothing is kept for longer than that may go unnoticed.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

KEEP_SECONDS = 5.0
"""As long as readers of events may miss something (`feeds.RECHECK_SECONDS`)."""
RUNNING_SECONDS = 1.0
"""Of a job that waits or runs: how long it will take changes with time, and with the user's other jobs."""
MOST_BYTES = 16 * 1024 * 1024


class Standing(msgspec.Struct, frozen=True):
    """A job as it was found."""

    owner: str
    body: bytes
    until: float
    """By the monotonic clock."""
    trace: str
    """Of its record."""


class Standings:
    """The ones asked for the longest ago make room."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Standing] = OrderedDict()
        self._bytes = 0
        self._told = 0
        """How many wake-ups came: what was being read meanwhile may be old already."""

    def kept(self, owner: str, job: str) -> Standing | None:
        """How the job stood a moment ago, where that is known and nothing happened to it since."""
        kept = self._kept.get(job)
        current = kept is not None and kept.owner == owner and time.monotonic() < kept.until
        return kept if current else None

    async def anew(
        self, owner: str, job: str, read: Callable[[], Awaitable[tuple[bytes, bool, str]]]
    ) -> Standing:
        """How it stands now; `read` tells its JSON, whether it is final, and the trace of its record."""
        told, now = self._told, time.monotonic()
        body, final, trace = await read()
        found = Standing(owner, body, now + (KEEP_SECONDS if final else RUNNING_SECONDS), trace)
        if told == self._told:
            self._put(job, found)
        return found

    def forget(self, job: str) -> None:
        """Something happened to this job."""
        self._told += 1
        self._drop(job)

    def forget_all(self) -> None:
        """Something may have happened to any."""
        self._told += 1
        self._kept.clear()
        self._bytes = 0

    def _put(self, job: str, standing: Standing) -> None:
        self._drop(job)
        self._kept[job] = standing
        self._bytes += len(standing.body)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, job: str) -> None:
        dropped = self._kept.pop(job, None)
        self._bytes -= len(dropped.body) if dropped else 0


STANDINGS = web.AppKey("standings", Standings)
