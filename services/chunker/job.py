"""One job from its first part to its end: cut, hand out within the window, wait for the outcomes."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Collection
from contextlib import aclosing

import msgspec
import structlog
from prometheus_client import Counter, Histogram

from services.chunker import problems
from services.chunker.chunks import ReadyChunk, Recording, Tools, chunks
from services.chunker.outcomes import Outcomes
from services.chunker.problems import BadRecording
from services.chunker.settings import Settings
from services.chunker.upload import Upload
from services.chunker.window import Window
from services.common import tracing
from services.common.bus import Bus
from services.common.queues import enqueue
from services.common.room import when_room
from services.contracts import topology
from services.contracts.messages import (
    HEADER,
    ChunkCut,
    EndOfUpload,
    JobEnded,
    JobRecord,
    JobState,
    StartJob,
    TranscribeChunk,
)
from services.contracts.topology import TRANSCRIBERS

log = structlog.get_logger()

NOTHING = Recording(samples=0, skipped=(), problem=None)

FIRST_CHUNK_SECONDS = Histogram(
    "whisper_first_chunk_seconds",
    "Time from taking a job to its first chunk",
    buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60),
)
CHUNKS = Counter("whisper_chunks_sent_total", "Chunks handed to the transcriber")
REDRIVEN = Counter("whisper_chunks_redriven_total", "Chunks sent again because no outcome came")
FIRST_TEXT_SECONDS = Histogram(
    "whisper_first_text_seconds",
    "Time from the first part of a recording being stored to its first text being stored",
    buckets=(1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600),
)


class Job:
    """The work on one run; every step may be repeated by another process after a crash."""

    def __init__(
        self, bus: Bus, settings: Settings, tools: Tools, command: StartJob, record: JobRecord
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._tools = tools
        self._command = command
        self._record = record
        self._outcomes = Outcomes(bus, command)
        self._waiting: dict[int, tuple[ReadyChunk, float]] = {}
        self._window = Window(bus, self._outcomes, command, record.lane, settings.window_chunks)
        self._taken_at = time.monotonic()
        self._first_text_due = False

    async def run(self) -> tuple[JobEnded, EndOfUpload | None]:
        """Work until the attempt's end is stored; return it, and how the upload ended where that was seen.

        Raises `JobGoneError` when the job was deleted or begun anew, `JobCancelledError` when cancelled.
        """
        await self._outcomes.load()
        if self._outcomes.end is not None:
            return self._outcomes.end, None
        upload = Upload(
            self._bus,
            self._outcomes.run,
            silence_seconds=self._settings.upload_silence_seconds,
            arrived=self._outcomes.whole is not None,
        )
        # A text that is there already was seen by the process before, or came while none looked.
        self._first_text_due = not self._command.attempt and self._outcomes.first_text_at is None
        following = self._outcomes.follow(lambda: self._note_first_text(upload))
        helpers = (asyncio.create_task(following), asyncio.create_task(self._redrive()))
        work = asyncio.create_task(self._work(upload))
        try:
            await asyncio.wait({work, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            for task in (*helpers, work):
                if task.done():
                    task.result()
            return work.result(), upload.ended
        finally:
            for task in (*helpers, work):
                task.cancel()
            await asyncio.gather(*helpers, work, return_exceptions=True)

    def _note_first_text(self, upload: Upload) -> None:
        began_at, at = upload.began_at, self._outcomes.first_text_at
        if self._first_text_due and began_at is not None and at is not None:
            FIRST_TEXT_SECONDS.observe(max(0.0, at - began_at))
            self._first_text_due = False

    async def _work(self, upload: Upload) -> JobEnded:
        whole = self._outcomes.whole
        event = await (self._transcribed(upload) if whole is None else self._filled(upload, whole))
        return await self._outcomes.close(event, self._record)

    async def _transcribed(self, upload: Upload) -> JobEnded:
        """Hand out the whole recording, and wait until every chunk has its outcome."""
        count, recording, state = 0, NOTHING, JobState.COMPLETED
        try:
            with tracing.span("decode", self._command.trace):
                count, recording = await self._hand_out(upload)
            problem = recording.problem or (None if count else problems.NO_SPEECH)
        except BadRecording as error:
            state, problem = JobState.FAILED, error.problem
        await self._outcomes.until_settled(*range(count))
        ended = upload.ended
        if ended is not None and ended.interrupted is not None:
            state, problem = JobState.INTERRUPTED, ended.interrupted
        return JobEnded(
            state=state,
            attempt=self._command.attempt,
            chunks=count,
            duration=recording.samples,
            skipped=recording.skipped,
            skipped_by_channel=recording.skipped_by_channel,
            problem=problem,
        )

    async def _filled(self, upload: Upload, whole: JobEnded) -> JobEnded:
        """Hand out again what has no text; what was found out about the recording stays as it is."""
        missing = self._outcomes.cuts.keys() - self._outcomes.settled
        problem = whole.problem
        try:
            if missing:
                with tracing.span("decode", self._command.trace):
                    await self._hand_out(upload, missing)
        except BadRecording as error:
            problem = error.problem
        await self._outcomes.until_settled(*self._waiting)
        return msgspec.structs.replace(whole, attempt=self._command.attempt, problem=problem)

    async def _hand_out(
        self, upload: Upload, missing: Collection[int] | None = None
    ) -> tuple[int, Recording]:
        """Send every chunk when the window allows it; their number, and what the whole was.

        Where it is known which are `missing`, it ends with the last of these.
        """
        count, left = 0, None if missing is None else set(missing)
        asked_at = time.time()
        async with aclosing(upload.parts()) as parts, aclosing(self._chunks(parts)) as ready:
            async for item in ready:
                if isinstance(item, Recording):
                    return count, item
                tracing.past("cut", self._command.trace, asked_at, chunk=item.number)
                await self._plan(item)
                if item.number not in self._outcomes.settled:
                    await self._window.until_open(self._waiting, item.number)
                if item.number not in self._outcomes.settled:  # it may have been, while it waited
                    await self._send(item)
                count = max(count, item.number + 1)
                if left is not None:
                    left.discard(item.number)
                    if not left:
                        return count, NOTHING
                asked_at = time.time()
        raise AssertionError("chunks() ends with a Recording")

    def _chunks(self, parts: AsyncIterable[bytes]) -> AsyncGenerator[ReadyChunk | Recording, None]:
        return chunks(
            parts,
            self._tools,
            skip_silence=self._record.options.skip_silence,
            channels=self._record.options.channels,
            stored=self._outcomes.stored_cuts(),
        )

    async def _plan(self, chunk: ReadyChunk) -> None:
        if chunk.number in self._outcomes.cuts:
            return
        if not self._outcomes.cuts:
            FIRST_CHUNK_SECONDS.observe(time.monotonic() - self._taken_at)
        cut = ChunkCut(
            chunk=chunk.number,
            start=chunk.start,
            end=chunk.end,
            skipped=chunk.skipped,
            source_bytes=chunk.source_bytes,
            channel=chunk.channel,
        )
        await self._outcomes.plan(cut)

    async def _send(self, chunk: ReadyChunk) -> None:
        await self._publish(chunk)
        CHUNKS.inc()
        self._forget_settled()
        self._waiting[chunk.number] = (chunk, time.monotonic())

    async def _publish(self, chunk: ReadyChunk) -> None:
        """Queue a chunk; one that somebody will still get stays as it is. A full queue is waited for."""
        command = TranscribeChunk(
            owner=self._command.owner,
            job=self._command.job,
            run=self._command.run,
            attempt=self._command.attempt,
            chunk=chunk.number,
            start=chunk.start,
            end=chunk.end,
            channel=chunk.channel,
            trace=self._command.trace,
        )
        subject = topology.chunk(self._record.lane, self._command.owner, self._outcomes.run, chunk.number)
        headers = {HEADER: msgspec.json.encode(command).decode()}
        queue = TRANSCRIBERS[self._record.lane].queue
        await when_room(lambda: enqueue(self._bus, queue, subject, chunk.flac, headers))

    def _forget_settled(self) -> None:
        for number in self._outcomes.settled & self._waiting.keys():
            del self._waiting[number]

    async def _redrive(self) -> None:
        """Send chunks again that have no outcome after a while: a crash of the broker can lose one."""
        pause = self._settings.redrive_seconds / 4
        while True:
            await asyncio.sleep(pause)
            self._forget_settled()
            for number, (chunk, sent_at) in tuple(self._waiting.items()):
                if time.monotonic() - sent_at > self._settings.redrive_seconds:
                    await self._publish(chunk)
                    REDRIVEN.inc()
                    self._waiting[number] = (chunk, time.monotonic())
