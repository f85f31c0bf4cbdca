"""Whether a connection stands, for those who must know at once, and for the metrics."""

import asyncio
import contextlib

from prometheus_client import Counter, Gauge

RECONNECTS = Counter("whisper_bus_reconnects_total", "Times the connection to NATS was made again")
CONNECTED = Gauge("whisper_bus_connected", "1 while every connection of this process to NATS stands, else 0")
LINKS: set["Link"] = set()
"""Those of this process."""


class Link:
    """Told of each break, of each repair and of its end; stands at first."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done as soon as the connection is broken; another one after each repair."""
        self._back = asyncio.Event()
        LINKS.add(self)
        _show()

    @property
    def broken(self) -> bool:
        """It does not stand now."""
        return self.lost.done()

    def breaks(self) -> None:
        """The connection is broken."""
        self._back.clear()
        if not self.broken:
            self.lost.set_result(None)
        _show()

    def mends(self) -> None:
        """The connection was made again."""
        RECONNECTS.inc()
        if self.broken:
            self.lost = asyncio.get_running_loop().create_future()
        self._back.set()
        _show()

    def end(self) -> None:
        """The connection is not wanted any more."""
        LINKS.discard(self)
        _show()

    async def back_within(self, seconds: float) -> bool:
        """Wait so long, but no longer than until a broken connection is made again; whether it was."""
        if not self.broken:
            await asyncio.sleep(seconds)
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._back.wait()
        return self._back.is_set()


def _show() -> None:
    CONNECTED.set(bool(LINKS) and not any(link.broken for link in LINKS))
