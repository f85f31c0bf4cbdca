"""From a file's bytes, as they arrive, to blocks of 16 kHz samples whose places never vary."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import numpy as np

from services.chunker import au, container, problems, verdict
from services.chunker.child import Child, DecodeLimits, ffmpeg
from services.chunker.container import OPENING_BYTES, Delivery
from services.chunker.cutting import FRAME, Samples
from services.chunker.problems import BadRecording
from services.chunker.promise import Promise
from services.chunker.spool import Spool
from services.common.errors import Transient
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import Problem

BLOCK_SAMPLES = 300 * FRAME
"""9.6 s: the speech detector's work per call, whatever sizes the decoder's pipe delivers."""
MOST_CHANNELS = 8
"""That are transcribed each on its own: 7.1, and what conference systems record."""
LAST_WORDS = 300
"""Characters of what a program said that did not run, for the log."""
FIRST_LOOK_BYTES = 1024
"""Enough to know playlists and documents by; MP4 may need more."""


class DecoderDidNotStart(Transient):
    """This machine could not run ffmpeg just now, which says nothing of the recording."""

    code = "decoder_unavailable"


@asynccontextmanager
async def decoded(
    source: AsyncIterable[bytes], limits: DecodeLimits, spool: Spool, *, split: bool = False
) -> AsyncIterator["Decoding"]:
    """Decode a file while it arrives; leaving the context ends the decoder, whatever its state.

    All channels are mixed to one; with `split` each comes on its own. Where the file's index comes last,
    entering the context waits for the whole file. Raises `BadRecording` for what is no recording by its
    first bytes, and `StorageFull` as `Spool.filled` does.
    """
    pieces = aiter(source)
    opening, delivery = await _opening(pieces)
    problem = container.refusal(opening) if opening else problems.EMPTY
    if problem is not None:
        raise BadRecording(problem)
    promise = Promise()
    async with AsyncExitStack() as stack:
        every = await stack.enter_async_context(aclosing(_chained(opening, pieces)))
        if delivery is Delivery.SPOOL:
            file = await stack.enter_async_context(spool.filled(_seen(every, promise)))
            child = await stack.enter_async_context(ffmpeg(file, limits, split=split))
            yield Decoding(child, limits, promise, split=split)
        else:
            child = await stack.enter_async_context(ffmpeg(None, limits, split=split))
            decoding = Decoding(child, limits, promise, split=split)
            await stack.enter_async_context(decoding.fed(every))
            yield decoding


class Decoding:
    """One recording on its way through the decoder."""

    def __init__(self, child: Child, limits: DecodeLimits, promise: Promise, *, split: bool = False) -> None:
        self._child = child
        self._limits = limits
        self._promise = promise
        self._split = split
        self._feeder: asyncio.Task[None] | None = None
        self._pieces = 0
        self._starving = False
        self._starved_seconds = 0.0
        self._starving_since = 0.0
        self._stalled = False
        self.seconds = 0.0
        """That the decoder was waited for while it had something to decode."""
        self.samples = 0
        """Samples given so far, of each channel."""
        self.problem: Problem | None = None
        """With the last block: what the user should know of a recording that is not all there."""

    @property
    def source_bytes(self) -> int:
        """Bytes of the file that the decoder was given so far."""
        return self._promise.source_bytes

    async def blocks(self) -> AsyncGenerator[Samples, None]:
        """All samples (int16) as blocks of (n, channels): n is `BLOCK_SAMPLES`, or less in the last one.

        Raises `BadRecording` where not one sample comes or too many channels do, `DecoderDidNotStart`, and
        whatever the source raises.
        """
        limit = int(self._limits.duration_seconds * SAMPLE_RATE)
        channels, kind = (await self._channels(), ">i2") if self._split else (1, "<i2")
        frame_bytes, last = 2 * channels, False
        while not last:
            data = await self._waited_for(BLOCK_SAMPLES * frame_bytes)
            frames = len(data) // frame_bytes
            block = np.frombuffer(data, kind, count=frames * channels).reshape(frames, channels)
            too_long = self.samples + frames > limit
            block = block[: limit - self.samples]
            self.samples += len(block)
            last = too_long or frames < BLOCK_SAMPLES
            if last:
                self.problem = problems.too_long(limit / SAMPLE_RATE) if too_long else await self._verdict()
            if len(block):
                yield block

    @asynccontextmanager
    async def fed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[None]:
        """Feed the decoder from `pieces` meanwhile, no faster than it decodes."""
        self._feeder = asyncio.create_task(self._feed(pieces))
        try:
            yield
        finally:
            self._feeder.cancel()
            await asyncio.gather(self._feeder, return_exceptions=True)

    async def _feed(self, pieces: AsyncIterator[bytes]) -> None:
        stdin = self._child.process.stdin
        assert stdin is not None  # noqa: S101  # only a decoder with a pipe is fed
        self._starve()
        try:
            async for piece in pieces:
                self._eat()
                self._pieces += 1
                if not await _accepted(stdin, piece):
                    break
                self._promise.see(piece)
                self._starve()
        finally:
            self._eat()
            stdin.close()

    def _starve(self) -> None:
        """The decoder has taken all that there is."""
        self._starving, self._starving_since = True, time.monotonic()

    def _eat(self) -> None:
        """There is something for it again."""
        if self._starving:
            self._starving, self._starved_seconds = False, self._starved()

    def _starved(self) -> float:
        """Seconds without anything to decode so far."""
        hungry = time.monotonic() - self._starving_since if self._starving else 0.0
        return self._starved_seconds + hungry

    async def _channels(self) -> int:
        """How many channels there are, by the header; 1 where not even that came, as then no sample does."""
        fields = await self._read_exactly(au.FIELDS.size)
        header = au.header(fields) if len(fields) == au.FIELDS.size else None
        if header is None:
            return 1
        if header.channels > MOST_CHANNELS:
            raise BadRecording(problems.too_many_channels(header.channels, MOST_CHANNELS))
        await self._read_exactly(header.remark_bytes)
        return header.channels

    async def _waited_for(self, count: int) -> bytes:
        """The next `count` bytes; counts the time that the decoder took, not that of a slow upload."""
        began, starved = time.monotonic(), self._starved()
        data = await self._read_exactly(count)
        self.seconds += max(0.0, time.monotonic() - began - (self._starved() - starved))
        return data

    async def _read_exactly(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end, or where the decoder stands still."""
        block = bytearray()
        while len(block) < count and (data := await self._read(count - len(block))):
            block += data
        return bytes(block)

    async def _read(self, count: int) -> bytes:
        stdout = self._child.process.stdout
        assert stdout is not None  # noqa: S101  # it was asked for
        while not self._stalled:
            before = self._progress()
            try:
                async with asyncio.timeout(self._limits.stall_seconds):
                    return await stdout.read(count)
            except TimeoutError:
                self._stalled = not self._starving and self._progress() == before
        return b""

    def _progress(self) -> tuple[int, int]:
        return self._pieces, self.source_bytes

    async def _verdict(self) -> Problem | None:
        """What is wrong with a recording whose last sample has come."""
        if self._stalled:
            return self._told(problems.STALLED)
        await self._stop_feeding()
        exit_code = await self._child.ended()
        if not self.samples and not self._child.log.of_ffmpeg:
            raise DecoderDidNotStart(f"ffmpeg did not start: {self._child.log.text()[-LAST_WORDS:].strip()}")
        said = verdict.report(self._child.log.text())
        if not self.samples:
            return self._told(verdict.without_sound(said))
        return verdict.with_sound(said, self._promise, self.samples, exit_code)

    def _told(self, problem: Problem) -> Problem:
        if not self.samples:
            raise BadRecording(problem)
        return problem

    async def _stop_feeding(self) -> None:
        """Raise the source's error where it had one; the decoder may also have ended before its source."""
        if self._feeder is None:
            return
        if self._feeder.done():
            self._feeder.result()
        self._feeder.cancel()
        await asyncio.wait([self._feeder])


async def _accepted(stdin: asyncio.StreamWriter, piece: bytes) -> bool:
    """Whether the decoder took `piece`; it closes its input when it has seen enough."""
    try:
        stdin.write(piece)
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


async def _opening(pieces: AsyncIterator[bytes]) -> tuple[bytes, Delivery]:
    """As much of the file's beginning as it takes to know how it must be delivered."""
    opening = b""
    whole = False
    delivery = None
    while delivery is None or (len(opening) < FIRST_LOOK_BYTES and not whole):
        piece = await anext(pieces, None)
        whole = piece is None
        opening += piece or b""
        delivery = container.delivery(opening[:OPENING_BYTES], whole=whole)
    return opening, delivery


async def _chained(opening: bytes, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield opening
    async for piece in pieces:
        yield piece


async def _seen(pieces: AsyncIterator[bytes], promise: Promise) -> AsyncIterator[bytes]:
    async for piece in pieces:
        promise.see(piece)
        yield piece
