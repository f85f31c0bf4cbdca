"""Ended sessions in a gateway's memory: listed at start, told as they end, listed anew after a break."""

import asyncio
import contextlib
from collections.abc import Callable

from services.auth.sessions import MARGIN_SECONDS, Sessions
from services.auth.sweeps import forget_expired
from services.common.bus import Bus
from services.gateway.revocations import Revocations, revocations


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # a set in memory has no event
            await asyncio.sleep(0.01)


async def test_sessions_ended_before_and_after_the_start_are_known(bus: Bus) -> None:
    sessions = Sessions(bus, longest_seconds=60)
    await sessions.revoke("before")
    told: list[str] = []

    async with revocations(bus, told.append) as known:
        assert "before" in known
        assert "after" not in known
        await sessions.revoke("after")
        await until(lambda: "after" in known)

    assert told == ["before", "after"]


async def test_what_was_missed_is_listed_and_what_was_forgotten_is_dropped(bus: Bus) -> None:
    await Sessions(bus, longest_seconds=-1 - MARGIN_SECONDS).revoke("expired")
    told: list[str] = []
    known = Revocations(bus, told.append)
    await known.list_anew()
    assert "expired" in known
    sessions = Sessions(bus, longest_seconds=60)
    await sessions.revoke("missed")
    await forget_expired(bus)
    following = asyncio.create_task(known.follow(asyncio.Event()))
    try:
        known.missed()
        await until(lambda: "missed" in known)
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    assert "expired" not in known
    assert told == ["expired", "missed"]


async def test_following_ends_with_the_stop(bus: Bus) -> None:
    stop = asyncio.Event()
    following = asyncio.create_task(Revocations(bus, lambda _session: None).follow(stop))
    stop.set()
    await asyncio.wait_for(following, 5)
