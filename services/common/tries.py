"""An operation on NATS, tried again until the broker has recovered or patience is at its end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from prometheus_client import Counter

from services.common.complaints import said
from services.common.errors import BrokerUnavailable
from services.common.link import Link
from services.common.refusals import is_passing

FIRST_TRY_SECONDS = 2.0
"""A stream that lost its leader answers nobody: who asks again soon finds the next one soon."""
LONGEST_TRY_SECONDS = 8.0
"""Each further try waits longer, since a server under load is not helped by being asked more often."""
FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 2.0

RETRIES = Counter("whisper_bus_retries_total", "Operations on NATS that had to be tried again")

T = TypeVar("T")


class Tries:
    """Those over one connection."""

    def __init__(self, client: Client, link: Link, patience_seconds: float) -> None:
        self._client = client
        self._link = link
        self._patience_seconds = patience_seconds

    async def until_done(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        patience_seconds: float | None = None,
        try_seconds: float = FIRST_TRY_SECONDS,
    ) -> T:
        """Its outcome; raises `BrokerUnavailable` when patience ends, and what NATS refuses for good."""
        patience = self._patience_seconds if patience_seconds is None else patience_seconds
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                return await self._unless_lost(operation, try_seconds)
            except (nats.js.errors.APIError, nats.errors.MaxPayloadError) as error:
                if not is_passing(error):
                    raise
                cause: Exception = error
            except (nats.errors.Error, TimeoutError, OSError) as error:
                cause = error
            if self._client.is_closed or loop.time() + delay > give_up:
                raise BrokerUnavailable(
                    f"NATS did not take a request for {patience:.0f} s: {said(cause)}",
                    retry_after=5.0,
                ) from cause
            RETRIES.inc()
            pause = delay * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries
            back = await self._link.back_within(pause)
            delay = FIRST_DELAY_SECONDS if back else min(delay * 2, LONGEST_DELAY_SECONDS)
            try_seconds = max(try_seconds, min(try_seconds * 2, LONGEST_TRY_SECONDS))

    async def _unless_lost(self, operation: Callable[[], Awaitable[T]], try_seconds: float) -> T:
        """Fail as soon as the connection breaks: nats-py lets a request in flight wait out its time-out."""
        if self._link.broken:
            raise nats.errors.ConnectionReconnectingError
        work = asyncio.ensure_future(operation())
        either: set[asyncio.Future[Any]] = {work, self._link.lost}
        try:
            await asyncio.wait(either, timeout=try_seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise nats.errors.ConnectionReconnectingError if self._link.broken else TimeoutError
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            elif not work.cancelled():
                work.exception()  # counts as seen, where somebody cancelled us
