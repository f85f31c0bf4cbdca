"""A Secrets Manager that can be down in every way: a proxy on loopback before a real one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from services.dev.processes import free_port

WELL = "well"
HANGING = "takes requests and answers none"
REFUSING = "refuses connections"
PIECE_BYTES = 64 * 1024
JSON_ERROR = b'{"__type": "InternalServiceError", "Message": "An error occurred on the server side."}'
HTML = b"<html>This network needs a login.</html>"


def _said(status: str, kind: str, body: bytes, announced: int) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\n\r\n"
    return head.encode() + body


ANSWERS: Mapping[str, bytes] = {
    "answers 500": _said("500 Oops", "application/x-amz-json-1.1", JSON_ERROR, len(JSON_ERROR)),
    "answers 200 with a page of HTML": _said("200 OK", "text/html", HTML, len(HTML)),
    "answers 200 with nothing": _said("200 OK", "application/x-amz-json-1.1", b"", 0),
    "breaks off its answers": _said("200 OK", "application/x-amz-json-1.1", JSON_ERROR[:20], 1000),
}
DOWN = (REFUSING, HANGING, *ANSWERS)


class Outage:
    """The proxy; `become` one of DOWN, or WELL again."""

    def __init__(self, target: str) -> None:
        """`target` is the URL of what is behind it, be it Secrets Manager or something else."""
        self._target = urlsplit(target)
        self._port = free_port()
        self._state = WELL
        self._server: asyncio.Server | None = None
        self.failed = 0
        """Requests that were not answered as they should be."""
        self._open: set[asyncio.StreamWriter] = set()
        self.url = f"http://127.0.0.1:{self._port}"

    async def become(self, state: str) -> None:
        """Change, and break every connection that is open."""
        self._state = state
        for writer in tuple(self._open):
            writer.transport.abort()
        if state == REFUSING:
            await self.close()
        elif self._server is None:
            self._server = await asyncio.start_server(self._served, "127.0.0.1", self._port)

    async def close(self) -> None:
        """Listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self._state == WELL:
                await self._carried(reader, writer)
            else:
                await self._failed(reader, writer)
        except OSError:  # the other side left
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _carried(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        both = [
            asyncio.create_task(copied)
            for copied in (_copied(reader, far_writer), _copied(far_reader, writer))
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            far_writer.transport.abort()

    async def _failed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(PIECE_BYTES)
        self.failed += 1
        if self._state == HANGING:
            await reader.read()  # until the client gives up
        else:
            writer.write(ANSWERS[self._state])
            await writer.drain()
            writer.write_eof()
            await reader.read()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()


@contextlib.asynccontextmanager
async def outage(target: str) -> AsyncIterator[Outage]:
    """A proxy before the Secrets Manager at `target`, which is well."""
    proxy = Outage(target)
    await proxy.become(WELL)
    try:
        yield proxy
    finally:
        await proxy.become(REFUSING)
