"""Forgets what has expired: revocations whose sessions are over anyway, and personal access tokens."""

import asyncio

import msgspec
import structlog

from services.common.bus import Bus, Stored, woken_within
from services.common.errors import Transient
from services.contracts import topology
from services.contracts.claims import RevokedSession
from services.contracts.personal_tokens import PersonalToken
from services.contracts.topology import DAY_SECONDS, Stream

log = structlog.get_logger()

EXPIRED_TOKEN_SECONDS = DAY_SECONDS
"""An expired token is still known for so long, and whoever sends it is told that it has expired."""
REVOKED_TOKEN_SECONDS = 7 * DAY_SECONDS
"""A revoked token stays stored for so long: far longer than what a killed broker may take back."""


async def forget_expired(bus: Bus) -> int:
    """Erase what nobody needs any more; how many messages that were."""
    now = await bus.now(Stream.TOKENS)
    return await _forget_sessions(bus, now) + await _forget_tokens(bus, now)


async def sweep(bus: Bus, stop: asyncio.Event, pause_seconds: float) -> None:
    """Do so now and then, until `stop`."""
    while not stop.is_set():
        try:
            log.info("sessions_swept", erased=await forget_expired(bus))
        except Transient as error:
            log.info("sessions_not_swept", error=str(error))
        await woken_within(stop, pause_seconds)


async def _forget_sessions(bus: Bus, now: float) -> int:
    erased, after = 0, 0
    while stored := await bus.next(Stream.TOKENS, topology.revoked(">"), after):
        after = stored.sequence
        if stored.data and msgspec.json.decode(stored.data, type=RevokedSession).expires_at < now:
            await bus.purge(Stream.TOKENS, stored.subject)
            erased += 1
    return erased


async def _forget_tokens(bus: Bus, now: float) -> int:
    erased, after = 0, 0
    while stored := await bus.next(Stream.TOKENS, topology.personal_token("*", "*"), after):
        after = stored.sequence
        if _is_over(stored, now):
            await bus.purge(Stream.TOKENS, topology.token_use(*topology.token_of_record(stored.subject)))
            await bus.purge(Stream.TOKENS, stored.subject)
            erased += 1
    return erased


def _is_over(stored: Stored, now: float) -> bool:
    if not stored.data:
        return False
    token = msgspec.json.decode(stored.data, type=PersonalToken)
    if token.revoked_at is not None and token.revoked_at + REVOKED_TOKEN_SECONDS < now:
        return True
    return token.expires_at + EXPIRED_TOKEN_SECONDS < now
