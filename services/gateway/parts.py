"""Write a recording into its stream while it arrives: numbered parts, a few at a time, none twice."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

import msgspec
import structlog
from prometheus_client import Counter

from services.common.bus import Bus
from services.common.errors import StorageFull
from services.contracts import topology
from services.contracts.messages import HEADER, EndOfUpload, Problem
from services.contracts.topology import PART_BYTES, Stream
from services.gateway.errors import UploadInterrupted

log = structlog.get_logger()

WINDOW = 3
"""Parts of an upload on their way to the broker at a time; more buys no throughput and costs memory."""
PROCESS_WINDOW = 6
"""Parts of all uploads together; an upload whose turn has not come holds one part and the next few bytes."""
FLUSH_SECONDS = 1.0
"""Bytes wait this long for their part to fill up: a slow upload is transcribed while it arrives, too."""
BEAT_SECONDS = 10.0
"""Silence after which an empty part says that the upload lives: 30 s without a part mean that it is dead."""
FULL_PATIENCE_SECONDS = 15.0
"""A running upload waits this long for room, which other jobs' ends may make."""
FULL_PAUSE_SECONDS = 1.0

BYTES = Counter("whisper_upload_bytes_total", "Bytes of recordings stored")


class PartWriter:
    """One upload. `write` the bytes as they come, `tick` now and then, then `end` or `interrupt`."""

    def __init__(self, bus: Bus, run: str, process_window: asyncio.Semaphore) -> None:
        self.size = 0
        self.stored = 0
        """Parts that the stream holds for certain."""
        self.futile = False
        """Nobody will read further bytes: count them, and store signs of life only."""
        self._bus = bus
        self._run = run
        self._process_window = process_window
        self._hash = hashlib.sha256()
        self._pieces: list[memoryview] = []
        self._buffered = 0
        self._buffered_since = 0.0
        self._flushed_at = time.monotonic()
        self._number = 0
        self._storing: dict[asyncio.Task[None], int] = {}
        self._lowest_failed: int | None = None
        self._turn = asyncio.Lock()

    @property
    def sha256(self) -> str:
        """Of everything written."""
        return self._hash.hexdigest()

    async def write(self, data: bytes) -> None:
        """Take bytes; waits while too many parts are on their way. Raises what storing a part raised."""
        self._hash.update(data)
        self.size += len(data)
        rest = memoryview(b"" if self.futile else data)
        while rest:
            if not self._buffered:
                self._buffered_since = time.monotonic()
            piece, rest = rest[: PART_BYTES - self._buffered], rest[PART_BYTES - self._buffered :]
            self._pieces.append(piece)
            self._buffered += len(piece)
            while self._buffered == PART_BYTES:
                await self._flush(at_least=PART_BYTES)

    async def tick(self) -> None:
        """Send what waited long enough, and a sign of life where nothing comes."""
        await self._reap()
        now = time.monotonic()
        if self._buffered and now - self._buffered_since >= FLUSH_SECONDS:
            await self._flush(at_least=1)
        elif not self._buffered and now - self._flushed_at >= BEAT_SECONDS:
            await self._flush(at_least=0)

    async def end(self) -> None:
        """Store the last part, with the count and the hash of all bytes, after every other is stored."""
        await self._settled()
        await self._store_last(EndOfUpload(bytes=self.size, sha256=self.sha256))

    async def read_back(self) -> AsyncIterator[bytes]:
        """Everything written so far, from the stream."""
        await self._flush(at_least=1)
        await self._settled()
        for number in range(self._number):
            stored = await self._bus.last(Stream.UP, topology.part(self._run, number), by_leader=True)
            if stored is None:
                raise UploadInterrupted("the upload was erased while it ran; send the recording again")
            yield stored.data

    async def interrupt(self, problem: Problem) -> None:
        """Say in the stream why the upload ends here, keeping what arrived without a hole."""
        await self._given_up()
        if self._lowest_failed is not None:
            self._number = self._lowest_failed
            self._taken()
        await self._store_last(EndOfUpload(bytes=self.size, interrupted=problem))

    async def cancel(self) -> None:
        """Store nothing more."""
        for task in self._storing:
            task.cancel()
        await self._given_up()

    async def _flush(self, *, at_least: int) -> None:
        """Send one part of up to PART_BYTES, if that much is there when it is our turn."""
        async with self._turn:
            if self._buffered < at_least:
                return
            while len(self._storing) >= WINDOW:
                await asyncio.wait(self._storing, return_when=asyncio.FIRST_COMPLETED)
                await self._reap()
            await self._process_window.acquire()
            task = asyncio.create_task(self._store(self._number, self._taken(), {}))
            task.add_done_callback(self._done)
            self._storing[task] = self._number
            self._number += 1

    def _done(self, task: asyncio.Task[None]) -> None:
        self._process_window.release()
        if not task.cancelled():
            task.exception()  # where the upload is over, nobody asks any more, and asyncio would complain

    def _taken(self) -> bytes:
        payload = b"".join(self._pieces)
        self._pieces, self._buffered = [], 0
        self._flushed_at = time.monotonic()
        return payload

    async def _store_last(self, end: EndOfUpload) -> None:
        await self._store(self._number, self._taken(), {HEADER: msgspec.json.encode(end).decode()})

    async def _store(self, number: int, payload: bytes, headers: dict[str, str]) -> None:
        give_up = time.monotonic() + FULL_PATIENCE_SECONDS
        while True:
            try:
                if not await self._bus.create(topology.part(self._run, number), payload, headers):
                    await self._check_own(number, payload, headers)
            except StorageFull:
                if number == 0 or time.monotonic() > give_up:
                    raise
                await asyncio.sleep(FULL_PAUSE_SECONDS)
            else:
                self.stored += 1
                BYTES.inc(len(payload))
                return

    async def _check_own(self, number: int, payload: bytes, headers: dict[str, str]) -> None:
        """A number that is taken holds our own part, stored by a try whose answer got lost, or the end
        that the chunker declared because this upload was silent for too long."""
        found = await self._bus.last(Stream.UP, topology.part(self._run, number), by_leader=True)
        if found is None or found.data != payload or found.headers.get(HEADER) != headers.get(HEADER):
            raise UploadInterrupted("the upload paused for too long and was ended; send the recording again")

    async def _reap(self) -> None:
        """Forget the parts that are stored; raises what went wrong with one."""
        for task, number in list(self._storing.items()):
            if task.done():
                del self._storing[task]
                self._note_failure(task, number)
                task.result()

    async def _settled(self) -> None:
        while self._storing:
            await asyncio.wait(self._storing)
            await self._reap()

    async def _given_up(self) -> None:
        if self._storing:
            await asyncio.wait(self._storing)
        for task, number in self._storing.items():
            self._note_failure(task, number)
        self._storing.clear()

    def _note_failure(self, task: asyncio.Task[None], number: int) -> None:
        if task.cancelled() or task.exception() is not None:
            lowest = self._lowest_failed
            self._lowest_failed = number if lowest is None else min(lowest, number)
