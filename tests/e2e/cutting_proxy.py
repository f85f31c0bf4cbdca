"""A TCP proxy on loopback that cuts connections off after so many bytes, as bad networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

PIECE_BYTES = 16 * 1024


class CuttingProxy:
    """Forwards to one address; `cuts` are the bytes that the next connections may carry, either way."""

    def __init__(self, host: str, port: int, cuts: Sequence[int]) -> None:
        self._target = (host, port)
        self._cuts = list(cuts)
        self.cut = 0
        self.url = ""

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it or its bytes are used up."""
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        try:
            both = (self._copy(reader, far_writer), self._copy(far_reader, writer))
            tasks = [asyncio.create_task(copy) for copy in both]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for side in (writer, far_writer):
                side.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = 0
        while piece := await reader.read(PIECE_BYTES):
            carried += len(piece)
            if self._cuts and carried > self._cuts[0]:
                self._cuts.pop(0)
                self.cut += 1
                return
            writer.write(piece)
            await writer.drain()


@contextlib.asynccontextmanager
async def cutting_proxy(host: str, port: int, cuts: Sequence[int]) -> AsyncIterator[CuttingProxy]:
    """A running proxy in front of `host:port`."""
    proxy = CuttingProxy(host, port, cuts)
    server = await asyncio.start_server(proxy.forward, "127.0.0.1", 0)
    async with server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy
