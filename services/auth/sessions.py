"""Sessions that were ended before their tokens expired, remembered for as long as those live."""

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.claims import RevokedSession
from services.contracts.sessions import EndedSessions, everything_of, owner_of
from services.contracts.topology import DAY_SECONDS, Stream

MARGIN_SECONDS = DAY_SECONDS
"""A token lives this much longer at most where the clock that it was signed by was ahead."""


class Sessions:
    """The revoked sessions in NATS. `longest_seconds` is the longest life of a session."""

    def __init__(self, bus: Bus, *, longest_seconds: float) -> None:
        self._bus = bus
        self._longest_seconds = longest_seconds
        self._revoked = Documents(bus, Stream.TOKENS, RevokedSession)

    async def is_revoked(self, session: str) -> bool:
        """Whether the session was ended, by itself or with all of its user's."""
        if await self._revoked.get(topology.revoked(session)) is not None:
            return True
        with_all = await self._bus.subjects(Stream.TOKENS, topology.revoked(f"{owner_of(session)}.*"))
        return session in EndedSessions(map(topology.mark_of_revocation, with_all))

    async def revoke(self, session: str) -> None:
        """End the session; ending it again changes nothing."""
        await self._end(session)

    async def revoke_all(self, owner: str) -> None:
        """End every session that this owner has by now."""
        await self._end(everything_of(owner, await self.now()))

    async def now(self) -> float:
        """The time by which sessions begin and end, Unix seconds: the broker's, as the clocks of several
        auth processes may differ, and a session that began "later" would outlive the end of all."""
        return await self._bus.now(Stream.TOKENS)

    async def _end(self, mark: str) -> None:
        until = await self.now() + self._longest_seconds + MARGIN_SECONDS
        ended = RevokedSession(sid=mark, expires_at=until)
        await self._revoked.create(topology.revoked(mark), ended)
