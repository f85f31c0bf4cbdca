"""Take chunks from the queue, have them transcribed, store what was heard."""

import asyncio
import time
from collections import OrderedDict
from typing import TypeGuard

import msgspec
import structlog
from prometheus_client import Counter

from services.common import tracing
from services.common.broker_clock import BrokerClock
from services.common.bus import Bus, woken_within
from services.common.consumer import BUG, Consumer, Delivery
from services.common.documents import Documents
from services.common.errors import Permanent, ServiceError
from services.common.room import when_room
from services.common.stages import STAGE_SECONDS
from services.common.tracing import Kind
from services.contracts import topology, traces
from services.contracts.channels import Channel, told
from services.contracts.dead_letters import dead_letter
from services.contracts.hotwords import HotwordsReport
from services.contracts.identifiers import run_id
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult, Segment, Word
from services.contracts.messages import (
    HEADER,
    ChunkFailed,
    ChunkTranscribed,
    JobRecord,
    JobState,
    Lane,
    Problem,
    TranscribeChunk,
)
from services.contracts.topology import TRANSCRIBERS, Stream
from services.transcriber.endpoint import Endpoint
from services.transcriber.errors import CALL_CODES, ModelFailed
from services.transcriber.gate import Gate
from services.transcriber.refusals import MODEL_RETRY_SECONDS
from services.transcriber.settings import Settings
from services.transcriber.turns import Turns

log = structlog.get_logger()

REMEMBERED_FAILURES = 10_000
MILLISECONDS = 3
"""Digits of a time in seconds; Whisper itself knows hundredths."""

AUDIO_SECONDS = Counter("whisper_transcribed_audio_seconds_total", "Audio transcribed")
GAPS = Counter("whisper_gaps_total", "Chunks that ended without text", ["code"])
for code in (*CALL_CODES, BUG):
    GAPS.labels(code)
QUEUE_SECONDS = STAGE_SECONDS.labels("queue")
DROPPED = Counter("whisper_chunks_dropped_total", "Chunks of jobs that were deleted or cancelled meanwhile")


class Transcriber:
    """Handles one chunk after another; any number of processes may do so."""

    def __init__(self, bus: Bus, endpoint: Endpoint, settings: Settings) -> None:
        self._bus = bus
        self._endpoint = endpoint
        self._settings = settings
        self._jobs = Documents(bus, Stream.JOB, JobRecord)
        self._gate = Gate(settings.chunk_patience_seconds)
        self._clock = BrokerClock(bus, Stream.CHUNK)
        self._stop = asyncio.Event()
        self._failures: OrderedDict[str, int] = OrderedDict()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until the stop, then finish the chunks in hand."""
        slots = self._settings.transcriber_slots
        turns, self._stop = Turns(slots), stop
        async with asyncio.TaskGroup() as group:
            for lane in Lane:
                group.create_task(self._consumer(lane, turns).run(self._bus, slots, stop))
            await stop.wait()
            self._gate.end()

    def _consumer(self, lane: Lane, turns: Turns) -> Consumer[TranscribeChunk]:
        spec = TRANSCRIBERS[lane]
        return Consumer(
            stream=spec.stream,
            durable=spec.name,
            ack_wait_seconds=spec.ack_wait_seconds,
            read=_command,
            handle=self._handle,
            give_up=self._give_up,
            patience_seconds=self._settings.chunk_patience_seconds,
            context=lambda command: {**traces.log_keys(command.job, command.trace), "chunk": command.chunk},
            places=turns.of(lane),
            letter=lambda delivery, error: dead_letter(
                spec.stream,
                delivery.sequence,
                subject=delivery.subject,
                deliveries=delivery.attempt,
                code=error.code,
                message=str(error),
            ),
        )

    async def _handle(self, command: TranscribeChunk, delivery: Delivery) -> None:
        run = run_id(command.job, command.run)
        if delivery.attempt == 1:
            QUEUE_SECONDS.observe(max(0.0, await self._clock.now() - delivery.stored_at))
        if await self._bus.last(Stream.RES, topology.text(run, command.chunk)) is not None:
            return  # a repeated delivery of a chunk that is done
        trace = traces.of_job(command.job, command.trace)
        if delivery.attempt == 1:
            tracing.past("queue", trace, delivery.stored_at, chunk=command.chunk)
        event = await self._tried(command, delivery)
        if event is None:
            DROPPED.inc()
            return
        if await when_room(lambda: self._publish(command, topology.text(run, command.chunk), event)):
            AUDIO_SECONDS.inc((command.end - command.start) / SAMPLE_RATE)

    async def _tried(self, command: TranscribeChunk, delivery: Delivery) -> ChunkTranscribed | None:
        """What `_transcribed` gives, tried again here where the model fails.

        Handed back in between, a poison chunk would come to one process after the other, and each would count
        from one. Deliveries tell less: they also rise when the endpoint is cold, and when a process dies. So
        only a process that ends in the middle forgets its count, and what it had tried is tried once more.
        """
        while True:
            try:
                return await self._transcribed(command, delivery)
            except ModelFailed as error:
                self._count(delivery.subject, error)
                await woken_within(self._stop, error.retry_after or MODEL_RETRY_SECONDS)
                if self._stop.is_set():
                    raise

    async def _transcribed(self, command: TranscribeChunk, delivery: Delivery) -> ChunkTranscribed | None:
        """What the endpoint heard; None if nobody wants it any more when it is the chunk's turn."""
        async with self._gate.passage(lambda: self._age(delivery)):
            record = await self._record(command, certain=True)
            if not _wanted(record):
                return None
            options, seconds = record.options.inference(), (command.end - command.start) / SAMPLE_RATE
            started = time.monotonic()
            result = await self._invoked(command, delivery.data, options, seconds)
            self._gate.open()
        notices = self._endpoint.notices(options, result)
        return _event(command, result, notices, time.monotonic() - started, record.hotwords_revision)

    async def _invoked(
        self, command: TranscribeChunk, flac: bytes, options: InferenceOptions, seconds: float
    ) -> InferenceResult:
        """What the endpoint heard, as one span of the job's trace."""
        trace = traces.of_job(command.job, command.trace)
        with tracing.span("invoke", trace, Kind.CLIENT, chunk=command.chunk, audio_seconds=seconds) as span:
            attributes = traces.attributes(command.job, span.traceparent)
            return await self._endpoint.transcribe(flac, options, seconds, attributes=attributes)

    async def _age(self, delivery: Delivery) -> float:
        """For how many seconds the chunk is stored, by the broker's clock."""
        return max(0.0, await self._bus.now(Stream.CHUNK) - delivery.stored_at)

    async def _record(self, command: TranscribeChunk, *, certain: bool = False) -> JobRecord | None:
        """The job's record, unless the job was deleted or its upload begun anew.

        A replica that lags may not know yet that the hotwords were changed: who must be `certain` asks none.
        """
        subject = topology.job_record(command.owner, command.job)
        for read in (self._jobs.newest,) if certain else (self._jobs.get, self._jobs.newest):
            record = await read(subject)
            if record is not None and not record.deleted and record.run == command.run:
                return record
        return None

    async def _publish(self, command: TranscribeChunk, subject: str, event: msgspec.Struct) -> bool:
        """Store the outcome, then look again: one that came after a deletion must not stay.

        Whether it is the first that was stored: only that one counts.
        """
        first = False
        if _wanted(await self._record(command)):
            first = await self._bus.create(subject, msgspec.json.encode(event))
        if await self._record(command) is None:
            await self._bus.purge(Stream.RES, subject)
            DROPPED.inc()
            return False
        return first

    async def _give_up(self, command: TranscribeChunk, _delivery: Delivery, error: ServiceError) -> None:
        event = ChunkFailed(
            chunk=command.chunk,
            start=command.start,
            end=command.end,
            attempt=command.attempt,
            channel=command.channel,
            problem=Problem(code=error.code, message=str(error)),
        )
        subject = topology.gap(run_id(command.job, command.run), command.chunk, command.attempt)
        if await self._publish(command, subject, event):
            GAPS.labels(error.code).inc()

    def _count(self, subject: str, error: ModelFailed) -> None:
        """Give up a chunk on which the model failed often enough; being busy or cold never counts."""
        count = self._failures.pop(subject, 0) + 1
        if count >= self._settings.model_attempts:
            raise Permanent(f"{error} ({count} attempts)", code=error.code) from error
        self._failures[subject] = count
        while len(self._failures) > REMEMBERED_FAILURES:
            self._failures.popitem(last=False)


def _wanted(record: JobRecord | None) -> TypeGuard[JobRecord]:
    """Whether anybody wants the text of a chunk: a cancelled job keeps what it has, and gets no more."""
    return record is not None and record.state is not JobState.CANCELLED


def _command(delivery: Delivery) -> TranscribeChunk:
    return msgspec.json.decode(delivery.headers[HEADER], type=TranscribeChunk)


def _event(
    command: TranscribeChunk,
    result: InferenceResult,
    notices: tuple[str, ...],
    seconds: float,
    hotwords_revision: int,
) -> ChunkTranscribed:
    """The result with its times moved from the chunk's start to the recording's, and with its channel."""
    offset = command.start / SAMPLE_RATE
    channel = told(command.channel)
    return ChunkTranscribed(
        chunk=command.chunk,
        start=command.start,
        end=command.end,
        text=result.text.strip(),
        language=result.language,
        segments=tuple(_moved_segment(segment, offset, channel) for segment in result.segments),
        words=None
        if result.words is None
        else tuple(_moved_word(word, offset, channel) for word in result.words),
        hotwords=_moved_report(result, offset, channel),
        notices=notices,
        endpoint_seconds=round(seconds, MILLISECONDS),
        hotwords_revision=hotwords_revision,
        channel=command.channel,
    )


def _moved_segment(segment: Segment, offset: float, channel: Channel) -> Segment:
    return msgspec.structs.replace(
        segment,
        start=round(segment.start + offset, MILLISECONDS),
        end=round(segment.end + offset, MILLISECONDS),
        text=segment.text.strip(),
        channel=channel,
    )


def _moved_word(word: Word, offset: float, channel: Channel) -> Word:
    return msgspec.structs.replace(
        word,
        start=round(word.start + offset, MILLISECONDS),
        end=round(word.end + offset, MILLISECONDS),
        channel=channel,
    )


def _moved_report(result: InferenceResult, offset: float, channel: Channel) -> HotwordsReport | None:
    if result.hotwords is None:
        return None
    hits, suspected = (
        tuple(
            msgspec.structs.replace(hit, time=round(hit.time + offset, MILLISECONDS), channel=channel)
            for hit in found
        )
        for found in (result.hotwords.hits, result.hotwords.suspected)
    )
    return msgspec.structs.replace(result.hotwords, hits=hits, suspected=suspected)
