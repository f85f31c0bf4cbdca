"""Waits between tries: longer each time, spread at random, and not for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from client.errors import Unavailable

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 15.0

T = TypeVar("T")


class Backoff:
    """Gives up once it has waited `patience_seconds` since the last success."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self.reset()

    def reset(self) -> None:
        """Something worked: the next failure starts with short waits again."""
        self._delay = FIRST_DELAY_SECONDS
        self._waited = 0.0

    async def wait(self, cause: Unavailable) -> None:
        """Sleep before the next try, at least as long as the server asked; raises `cause` in the end."""
        if self._waited >= self._patience_seconds:
            raise cause
        seconds = max(self._delay * random.uniform(0.5, 1.0), cause.retry_after)  # noqa: S311  # spreads retries
        self._waited += seconds
        self._delay = min(self._delay * 2, LONGEST_DELAY_SECONDS)
        await asyncio.sleep(seconds)


async def patiently(work: Callable[[], Awaitable[T]], patience_seconds: float) -> T:
    """Do what may safely be done twice until the server can be reached, or patience ends."""
    retry = Backoff(patience_seconds)
    while True:
        try:
            return await work()
        except Unavailable as error:
            await retry.wait(error)
