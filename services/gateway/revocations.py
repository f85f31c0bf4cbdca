"""The sessions that were ended, known to every gateway at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from prometheus_client import Gauge

from services.common.bus import Bus
from services.common.errors import Transient
from services.contracts import topology
from services.contracts.sessions import EndedSessions
from services.contracts.topology import Stream

log = structlog.get_logger()

RELIST_SECONDS = 600.0
"""Pause between two full readings, which also drop the sessions that auth has forgotten."""
RETRY_SECONDS = 1.0

REVOKED = Gauge("whisper_revoked_sessions", "Ended sessions whose tokens may not have expired")

Ended = Callable[[str], None]


class Revocations:
    """What was ended, in memory: told by wake-ups, and listed anew whenever one may have been lost."""

    def __init__(self, bus: Bus, ended: Ended) -> None:
        """`ended` is called with each mark: the id of a session as it ends, or one for all of a user's."""
        self._bus = bus
        self._ended = ended
        self._sessions = EndedSessions()
        self._told: set[str] = set()
        """What was heard since the last listing began: that listing may not have it."""
        self._missed = asyncio.Event()

    def __contains__(self, session: str) -> bool:
        return session in self._sessions

    def add(self, mark: str) -> None:
        """This session is over, or all that the mark stands for."""
        self._told.add(mark)
        self._sessions.add(mark)
        REVOKED.set(len(self._sessions.marks))
        self._ended(mark)

    def heard(self, subject: str) -> None:
        """A wake-up for a stored revocation."""
        self.add(topology.mark_of_revocation(subject))

    def missed(self) -> None:
        """Wake-ups may have been lost."""
        self._missed.set()

    async def list_anew(self) -> None:
        """Read every revocation there is."""
        self._missed.clear()
        self._told = set()
        subjects = await self._bus.subjects(Stream.TOKENS, topology.revoked(">"))
        before = self._sessions.marks
        self._sessions = EndedSessions([*map(topology.mark_of_revocation, subjects), *self._told])
        REVOKED.set(len(self._sessions.marks))
        for mark in self._sessions.marks - before:
            self._ended(mark)

    async def follow(self, stop: asyncio.Event) -> None:
        """List anew after a break of the connection, and now and then, until `stop`."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                missed = asyncio.ensure_future(self._missed.wait())
                await asyncio.wait(
                    {stopping, missed}, timeout=RELIST_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                missed.cancel()
                if not stop.is_set():
                    await self._listed_anew()
        finally:
            stopping.cancel()

    async def _listed_anew(self) -> None:
        try:
            await self.list_anew()
        except Transient as error:
            log.warning("revocations_not_listed", error=str(error))
            self._missed.set()
            await asyncio.sleep(RETRY_SECONDS)


@contextlib.asynccontextmanager
async def revocations(bus: Bus, ended: Ended) -> AsyncIterator[Revocations]:
    """Every ended session, from the first moment on; `follow` must run beside."""
    known = Revocations(bus, ended)
    async with bus.listening((topology.live_revocations(),), heard=known.heard, missed=known.missed):
        await known.list_anew()
        yield known
