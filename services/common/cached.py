"""A value fetched from elsewhere, used for a while, and kept when a newer one cannot be had."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.common.errors import ServiceError

FIRST_RETRY_SECONDS = 1.0
"""Least time between two tries while there is no value at all, so that nobody can be served."""

FAILED_PAUSE_SECONDS = 30.0
"""Least time between two tries that only an old value causes, while they fail: each may take long to fail."""

T = TypeVar("T")


class Cached(Generic[T]):
    """The newest value known. Many may ask at once: one fetches, the others wait for it."""

    def __init__(
        self, fetch: Callable[[], Awaitable[T]], *, keep_seconds: float, retry_seconds: float
    ) -> None:
        """`keep_seconds` until it is fetched again, `retry_seconds` between two tries at the least."""
        self._fetch = fetch
        self._keep_seconds = keep_seconds
        self._retry_seconds = retry_seconds
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._busy = asyncio.Lock()
        self.value: T | None = None
        self.error: ServiceError | None = None
        """Why the last try failed; None after a good one."""

    @property
    def age_seconds(self) -> float:
        """How long ago the fetch of the value began: it tells what was so at that time, or later."""
        return time.monotonic() - self._fetched_at

    async def get(self, *, newest: bool = False) -> T:
        """The value; `newest` fetches it even when it is not old. Raises only where there never was one.

        While somebody fetches, an old value is as good as any: only who needs the newest, or has none, waits.
        """
        if newest or self.value is None or (self._due() and not self._busy.locked()):
            async with self._busy:
                await self._refresh()
        if self.value is None:
            raise self.error or RuntimeError("a fetch was cancelled")
        return self.value

    def _due(self) -> bool:
        if self.age_seconds <= self._keep_seconds:
            return False
        pause = min(FAILED_PAUSE_SECONDS, self._keep_seconds)
        return self.error is None or time.monotonic() - self._tried_at >= pause

    async def _refresh(self) -> None:
        pause = self._retry_seconds if self.value is not None else FIRST_RETRY_SECONDS
        if time.monotonic() - self._tried_at < min(pause, self._retry_seconds):
            return
        began = time.monotonic()
        try:
            self.value = await self._fetch()
        except ServiceError as error:
            self.error = error
        else:
            self.error = None
            self._fetched_at = began
        self._tried_at = time.monotonic()
