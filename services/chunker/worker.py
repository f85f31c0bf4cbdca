"""Take jobs from the lanes' queues, work on them, and keep their records true."""

import asyncio
import contextlib
import time

import msgspec
import structlog

from services.chunker.admission import Admission
from services.chunker.chunks import Tools
from services.chunker.job import Job
from services.chunker.outcomes import JobCancelledError, JobGoneError, Outcomes
from services.chunker.settings import Settings
from services.chunker.undelivered import Undelivered
from services.common import tracing
from services.common.bus import Bus, woken_within
from services.common.consumer import Consumer, Delivery
from services.common.documents import Documents
from services.common.errors import ServiceError
from services.common.room import when_room
from services.common.tracing import Kind
from services.contracts import topology, traces
from services.contracts.dead_letters import dead_letter
from services.contracts.identifiers import run_id
from services.contracts.messages import (
    EndOfUpload,
    JobEnded,
    JobRecord,
    JobState,
    Lane,
    Problem,
    StartJob,
    UploadState,
)
from services.contracts.topology import CHUNKERS, Stream
from services.contracts.webhooks import delivery_of

log = structlog.get_logger()

RECORD_SECONDS = 90.0
"""How long a command may come before its record, which its uploader tries to store for 60 s; where none
follows, the uploader died between both."""
RECHECK_SECONDS = 1.0
CANCELLED = Problem(code="cancelled", message="The job was cancelled. The text covers what was transcribed.")


class Chunker:
    """Handles one job after another in each of its slots; any number of processes may do so."""

    def __init__(self, bus: Bus, settings: Settings, tools: Tools) -> None:
        self._bus = bus
        self._settings = settings
        self._tools = tools
        self._jobs = Documents(bus, Stream.JOB, JobRecord)
        self._admission = Admission(bus, settings.user_jobs)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until the stop; long jobs can never take the slots of short ones."""
        slots = self._settings.chunker_slots
        async with asyncio.TaskGroup() as group:
            group.create_task(self._consumer(Lane.SHORT).run(self._bus, slots, stop))
            group.create_task(self._consumer(Lane.LONG).run(self._bus, max(1, slots * 3 // 4), stop))
            group.create_task(self._consumer(Lane.LOW).run(self._bus, max(1, slots // 4), stop))
            group.create_task(self._admission.run(stop))
            group.create_task(Undelivered(self._bus, self._end_in_vain).run(stop))

    def _consumer(self, lane: Lane) -> Consumer[StartJob]:
        spec = CHUNKERS[lane]
        return Consumer(
            stream=spec.stream,
            durable=spec.name,
            ack_wait_seconds=spec.ack_wait_seconds,
            read=lambda delivery: msgspec.json.decode(delivery.data, type=StartJob),
            handle=self._handle,
            give_up=lambda command, _delivery, error: self._end_in_vain(command, error),
            settled=lambda delivery: self._admission.settled(delivery.subject),
            context=lambda command: {**traces.log_keys(command.job, command.trace), "run": command.run},
            letter=lambda delivery, error: dead_letter(
                spec.stream,
                delivery.sequence,
                subject=delivery.subject,
                deliveries=delivery.attempt,
                code=error.code,
                message=str(error),
            ),
        )

    async def _handle(self, command: StartJob, _delivery: Delivery) -> None:
        subject = topology.job_record(command.owner, command.job)
        record = await self._record(subject, command)
        if record is None or record.deleted or record.run != command.run:
            await self._erase(command)
            return
        if record.attempt != command.attempt:
            log.info("attempt_not_current", current=record.attempt)
            return
        if record.state is JobState.CANCELLED:
            await self._end_cancelled(command)
            return
        if record.state.final:
            log.info("attempt_over")
            await self._announce(record)
            return
        now = await self._bus.now(Stream.CTL)
        record = await self._jobs.change(subject, lambda old: _started(old, now)) or record
        started = time.monotonic()
        try:
            end, upload = await self._worked_on(command, record)
        except JobGoneError:
            log.info("job_gone")
            await self._erase(command)
            return
        except JobCancelledError:
            await self._end_cancelled(command)
            return
        await self._store_end(command, end, upload)
        log.info(
            "job_ended", state=end.state, chunks=end.chunks, seconds=round(time.monotonic() - started, 1)
        )

    async def _worked_on(self, command: StartJob, record: JobRecord) -> tuple[JobEnded, EndOfUpload | None]:
        """What `Job.run` gives and raises, as one span of the job's trace; its chunks carry that on."""
        trace = traces.of_job(command.job, command.trace)
        with tracing.span("job", trace, Kind.CONSUMER, job=command.job, attempt=command.attempt) as span:
            command = msgspec.structs.replace(command, trace=span.traceparent)
            end, upload = await Job(self._bus, self._settings, self._tools, command, record).run()
            span.note(state=end.state, chunks=end.chunks)
            return end, upload

    async def _record(self, subject: str, command: StartJob) -> JobRecord | None:
        """The job's record, which is stored just after its command; an older one or None when none comes."""
        record = None
        async with self._bus.woken_by(topology.live_job(command.owner, command.job)) as woken:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECORD_SECONDS):
                    while True:
                        woken.clear()
                        record = await self._jobs.get(subject)
                        if record is not None and _knows(record, command):
                            return record
                        await woken_within(woken, RECHECK_SECONDS)
        log.warning("job_without_record")
        return record

    async def _erase(self, command: StartJob) -> None:
        """What was stored for a run after it was deleted, replaced or found without a record."""
        run = run_id(command.job, command.run)
        await self._bus.purge(Stream.CHUNK, topology.chunk("*", command.owner, run))
        await self._bus.purge(Stream.RES, topology.results(run))
        await self._bus.purge(Stream.UP, topology.part(run))

    async def _end_in_vain(self, command: StartJob, error: ServiceError) -> None:
        """Nobody could work on this job: its attempt ends, and says why."""
        subject = topology.job_record(command.owner, command.job)
        record = await self._jobs.newest(subject)
        if record is None or record.deleted:
            return
        outcomes = Outcomes(self._bus, command)
        await outcomes.load()
        end = outcomes.end or await outcomes.close(_given_up(command, outcomes.whole, error), record)
        await self._store_end(command, end, None)

    async def _end_cancelled(self, command: StartJob) -> None:
        """Take back what no transcriber has in hand, mark what has no text, and end the attempt."""
        record = await self._jobs.newest(topology.job_record(command.owner, command.job))
        if record is None or record.deleted or record.run != command.run:
            await self._erase(command)
            return
        outcomes = Outcomes(self._bus, command)
        await self._bus.purge(Stream.CHUNK, topology.chunk("*", command.owner, outcomes.run))
        await outcomes.load()
        end = outcomes.end
        if end is None:
            problem = record.problem or CANCELLED
            await outcomes.leave_gaps(problem)
            end = await outcomes.close(_cancelled(command, outcomes, problem), record)
        await self._store_end(command, end, None)
        log.info("job_cancelled", state=end.state, chunks=end.chunks)

    async def _store_end(self, command: StartJob, end: JobEnded, upload: EndOfUpload | None) -> None:
        subject = topology.job_record(command.owner, command.job)
        now = await self._bus.now(Stream.CTL)
        record = await self._jobs.change(subject, lambda old: _ended(old, command, end, upload, now))
        if record is not None and (record.run, record.attempt) == (command.run, command.attempt):
            await self._announce(record)

    async def _announce(self, record: JobRecord) -> None:
        """Have whom the user named told of the end. The command goes only after that, so nothing is lost."""
        if (delivery := delivery_of(record)) is not None:
            data = msgspec.json.encode(delivery)
            await when_room(lambda: self._bus.create(delivery.subject, data))


def _knows(record: JobRecord, command: StartJob) -> bool:
    """Whether the record is of the command's attempt or a later one, or says that nothing must be done."""
    if record.run != command.run:
        return record.run > command.run
    return record.deleted or record.attempt >= command.attempt


def _given_up(command: StartJob, whole: JobEnded | None, error: ServiceError) -> JobEnded:
    """The end of an attempt that nobody could make; a job that had ended keeps what it has."""
    if whole is not None:
        message = f"The stretches without text could not be tried again: {error}"
        problem = Problem(code=error.code, message=message)
        return msgspec.structs.replace(whole, attempt=command.attempt, problem=problem)
    problem = Problem(code=error.code, message=f"The recording could not be processed: {error}")
    return JobEnded(state=JobState.FAILED, attempt=command.attempt, chunks=0, duration=0, problem=problem)


def _cancelled(command: StartJob, outcomes: Outcomes, problem: Problem) -> JobEnded:
    """The end of an attempt that was cancelled: it knows of what was cut until then, or earlier."""
    cuts = outcomes.cuts.values()
    known = outcomes.whole or JobEnded(
        state=JobState.CANCELLED,
        attempt=command.attempt,
        chunks=len(cuts),
        duration=max((cut.end for cut in cuts), default=0),
    )
    return msgspec.structs.replace(known, state=JobState.CANCELLED, attempt=command.attempt, problem=problem)


def _started(record: JobRecord, now: float) -> JobRecord:
    """The record of a job in hand, unless it is over. `now` is the broker's time, as that of all records."""
    begun = record.state is JobState.RUNNING and record.started_at is not None
    if record.state.final or begun:
        return record
    return msgspec.structs.replace(record, state=JobState.RUNNING, started_at=now)


def _ended(
    record: JobRecord, command: StartJob, end: JobEnded, upload: EndOfUpload | None, now: float
) -> JobRecord:
    """The record after the run's end, unless it belongs to a later run or is a tombstone.

    Whoever cancelled the job wrote that into the record; an end that was stored before counts.
    """
    ours = (record.run, record.attempt) == (command.run, command.attempt)
    over = record.state.final and record.state is not JobState.CANCELLED
    if record.deleted or not ours or over:
        return record
    if upload is not None:
        record = _uploaded(record, upload)
    ended_at = record.ended_at or now
    return msgspec.structs.replace(
        record, state=end.state, ended_at=ended_at, duration=end.duration, problem=end.problem
    )


def _uploaded(record: JobRecord, upload: EndOfUpload) -> JobRecord:
    """The upload's outcome, where the gateway died before it could write it down."""
    if record.upload is not UploadState.RECEIVING:
        return record
    if upload.interrupted is not None:
        return msgspec.structs.replace(record, upload=UploadState.INTERRUPTED, upload_bytes=upload.bytes)
    return msgspec.structs.replace(
        record, upload=UploadState.STORED, upload_bytes=upload.bytes, sha256=upload.sha256
    )
