"""The broker's time for whoever needs it often: asked now and then, counted on in between."""

import time

from services.common.bus import Bus

RENEW_SECONDS = 60.0
"""Clocks that are any good part by far less than a millisecond in this time."""


class BrokerClock:
    """Counts by the monotonic clock of this machine, which nobody sets."""

    def __init__(self, bus: Bus, stream: str) -> None:
        """`stream` is one that this service may ask about."""
        self._bus = bus
        self._stream = stream
        self._ahead = 0.0
        """Of the monotonic clock."""
        self._ask_at = 0.0

    async def now(self) -> float:
        """Unix time, as stored messages carry it."""
        if time.monotonic() >= self._ask_at:
            told = await self._bus.now(self._stream)
            self._ahead = told - time.monotonic()
            self._ask_at = time.monotonic() + RENEW_SECONDS
        return self._ahead + time.monotonic()

    def reckoned(self) -> float | None:
        """The same by what was told last, without asking; None before the first time."""
        return self._ahead + time.monotonic() if self._ask_at else None
