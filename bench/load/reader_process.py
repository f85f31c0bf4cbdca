"""`python -m bench.load.reader_process`: many readers of event streams in one process.

Its first line of input is a `Crowd` as JSON; it answers `open` once every reader has had its first event.
`report FILE` then writes what they have seen so far, and answers `done`.
"""

import asyncio
import re
import sys
import time
from array import array
from pathlib import Path

import msgspec

EVENT_ID = re.compile(rb"\nid: (\d+)\n")
RECONNECT_SECONDS = 0.1
AT_ONCE = 50
"""Connections that are being opened at the same time."""


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to read from."""

    port: int
    token: str
    paths: tuple[str, ...]
    """One for each reader."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader has seen: ids (array "q") and when they came (array "d", Unix time in s)."""

    path: str
    ids: bytes
    times: bytes
    connections: int

    def events(self) -> tuple["array[int]", "array[float]"]:
        """Ids and times."""
        ids, times = array("q"), array("d")
        ids.frombytes(self.ids)
        times.frombytes(self.times)
        return ids, times


class Reader(asyncio.Protocol):
    """Reads one path, coming back after every break with the last id it saw."""

    def __init__(self, crowd: Crowd, path: str) -> None:
        self._crowd = crowd
        self._path = path
        self._rest = b""
        self._ids = array("q")
        self._times = array("d")
        self._connections = 0
        self._returning: asyncio.Task[None] | None = None
        self.began = asyncio.Event()
        """The first event has come."""

    async def connect(self) -> None:
        """Open, or open again, as soon as that is possible."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._crowd.port)
            except OSError:
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._rest = b""
        self._connections += 1
        last = f"Last-Event-ID: {self._ids[-1]}\r\n" if self._ids else ""
        login = f"Authorization: Bearer {self._crowd.token}\r\n"
        head = f"GET {self._path} HTTP/1.1\r\nHost: bench\r\n{login}{last}\r\n"
        transport.write(head.encode())  # type: ignore[attr-defined]  # it is a transport with both directions

    def data_received(self, data: bytes) -> None:
        now = time.time()
        data = self._rest + data
        end = data.rfind(b"\n\n") + 1
        if not end:
            self._rest = data
            return
        self._rest = data[end:]
        self.began.set()
        for found in EVENT_ID.finditer(data, 0, end):
            self._ids.append(int(found[1]))
            self._times.append(now)

    def connection_lost(self, _error: Exception | None) -> None:
        self._returning = asyncio.ensure_future(self._return())

    async def _return(self) -> None:
        await asyncio.sleep(RECONNECT_SECONDS)
        await self.connect()

    def seen(self) -> Seen:
        """Everything so far."""
        return Seen(
            path=self._path,
            ids=self._ids.tobytes(),
            times=self._times.tobytes(),
            connections=self._connections,
        )


async def serve() -> None:
    """Read, and report whenever that is asked."""
    lines = await _input()
    crowd = msgspec.json.decode(await lines.readline(), type=Crowd)
    readers = [Reader(crowd, path) for path in crowd.paths]
    places = asyncio.Semaphore(AT_ONCE)

    async def opened(reader: Reader) -> None:
        async with places:
            await reader.connect()
            await reader.began.wait()

    await asyncio.gather(*map(opened, readers))
    print("open", flush=True)
    while line := await lines.readline():
        seen = msgspec.msgpack.encode([reader.seen() for reader in readers])
        await asyncio.to_thread(Path(line.decode().split()[1]).write_bytes, seen)
        print("done", flush=True)


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


if __name__ == "__main__":
    asyncio.run(serve())
