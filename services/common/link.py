"""Whether a connection stands, for those who must know at once."""

import asyncio
import contextlib


class Link:
    """Told of each break and of each repair; stands at first."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done as soon as the connection is broken; another one after each repair."""
        self._back = asyncio.Event()

    @property
    def broken(self) -> bool:
        """It does not stand now."""
        return self.lost.done()

    def breaks(self) -> None:
        """The connection is broken."""
        self._back.clear()
        if not self.broken:
            self.lost.set_result(None)

    def mends(self) -> None:
        """The connection was made again."""
        if self.broken:
            self.lost = asyncio.get_running_loop().create_future()
        self._back.set()

    async def back_within(self, seconds: float) -> bool:
        """Wait so long, but no longer than until a broken connection is made again; whether it was."""
        if not self.broken:
            await asyncio.sleep(seconds)
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._back.wait()
        return self._back.is_set()
