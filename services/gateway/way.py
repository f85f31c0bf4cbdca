"""The whole way of one job, read from the streams themselves with the times that the broker gave."""

import msgspec

from services.common.bus import Bus, Stored
from services.contracts import attempts, topology, traces
from services.contracts.identifiers import run_id
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import (
    HEADER,
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    EndOfUpload,
    JobEnded,
    JobEvent,
    JobRecord,
    JobState,
    Lane,
    Problem,
    UploadState,
)
from services.contracts.topology import Stream
from services.contracts.webhooks import Delivery, DeliveryState, Try


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that left a chunk without text."""

    at: float
    attempt: int
    problem: Problem


class ChunkWay(msgspec.Struct, kw_only=True):
    """One chunk; `start` and `end` are seconds of the recording, the other times Unix time."""

    chunk: int
    start: float
    end: float
    channel: int | None
    cut_at: float
    queued_at: float | None = None
    """Since when it stands in the queue; None once a transcriber has settled it, and before it is sent."""
    text_at: float | None = None
    endpoint_seconds: float | None = None
    gaps: list[Gap] = []


class EndWay(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an attempt."""

    at: float
    attempt: int
    state: JobState
    chunks: int
    seconds: float
    problem: Problem | None


class UploadWay(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that are stored now; they are erased when the audio's retention ends."""

    parts: int
    first_at: float
    last_at: float
    end: EndOfUpload | None


class DeliveryWay(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver was told of an attempt's end; not where, as addresses may hold secrets."""

    attempt: int
    state: DeliveryState
    tries: tuple[Try, ...]
    next_at: float | None


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What the streams hold of a job's current upload; times are Unix time by the broker's clock."""

    job: str
    trace_id: str
    owner: str
    user: str
    lane: Lane
    run: int
    attempt: int
    state: JobState
    upload_state: UploadState
    deleted: bool
    problem: Problem | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    record_changed_at: float
    now: float
    """When this was read."""
    upload: UploadWay | None
    waiting_since: float | None
    """The command of this attempt waits for a place of its user's."""
    admitted_at: float | None
    """It stands in the queue of the chunkers, or one of them is at work on it."""
    others_running: int
    """Jobs of the same user that have a place."""
    chunks: list[ChunkWay]
    ends: list[EndWay]
    deliveries: list[DeliveryWay]


async def way(bus: Bus, job: str) -> Way | None:
    """The way of a job, whoever's it is; None where there is no record of it."""
    stored = await bus.last(Stream.JOB, topology.job_record("*", job), by_leader=True)
    if stored is None or not stored.data:
        return None
    record = msgspec.json.decode(stored.data, type=JobRecord)
    waiting = await bus.last(Stream.CTL, attempts.waiting_subject(record), by_leader=True)
    admitted = await bus.last(Stream.CTL, attempts.command_subject(record), by_leader=True)
    running = await bus.subjects(Stream.CTL, topology.control("*", record.owner, "*"))
    chunks, ends = await _results(bus, record)
    return Way(
        job=record.id,
        trace_id=traces.log_keys(record.id, record.trace)["trace_id"],
        owner=record.owner,
        user=record.user,
        lane=record.lane,
        run=record.run,
        attempt=record.attempt,
        state=record.state,
        upload_state=record.upload,
        deleted=record.deleted,
        problem=record.problem,
        created_at=record.created_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        record_changed_at=stored.stored_at,
        now=await bus.now(Stream.JOB),
        upload=await _upload(bus, record),
        waiting_since=waiting.stored_at if waiting else None,
        admitted_at=admitted.stored_at if admitted else None,
        others_running=sum(topology.job_of_work(subject) != record.id for subject in running),
        chunks=chunks,
        ends=ends,
        deliveries=[
            _delivery(msgspec.json.decode(found.data, type=Delivery))
            for found in await _all(bus, Stream.HOOKS, topology.delivery(record.owner, _run(record)))
        ],
    )


async def _upload(bus: Bus, record: JobRecord) -> UploadWay | None:
    subjects = await bus.subjects(Stream.UP, topology.part(_run(record)))
    if not subjects:
        return None
    in_order = sorted(subjects, key=lambda subject: int(subject.rpartition(".")[2]))
    first, last = await bus.last(Stream.UP, in_order[0]), await bus.last(Stream.UP, in_order[-1])
    if first is None or last is None:  # erased meanwhile
        return None
    header = last.headers.get(HEADER)
    return UploadWay(
        parts=len(subjects),
        first_at=first.stored_at,
        last_at=last.stored_at,
        end=msgspec.json.decode(header, type=EndOfUpload) if header else None,
    )


async def _results(bus: Bus, record: JobRecord) -> tuple[list[ChunkWay], list[EndWay]]:
    chunks: dict[int, ChunkWay] = {}
    ends: list[EndWay] = []
    for stored in await _all(bus, Stream.RES, topology.results(_run(record))):
        _add(chunks, ends, msgspec.json.decode(stored.data, type=JobEvent), stored.stored_at)
    for stored in await _all(bus, Stream.CHUNK, topology.chunk("*", record.owner, _run(record))):
        queued = chunks.get(int(stored.subject.rpartition(".")[2]))
        if queued is not None:
            queued.queued_at = stored.stored_at
    return [chunks[number] for number in sorted(chunks)], ends


def _add(chunks: dict[int, ChunkWay], ends: list[EndWay], event: JobEvent, at: float) -> None:
    if isinstance(event, JobEnded):
        ends.append(
            EndWay(
                at=at,
                attempt=event.attempt,
                state=event.state,
                chunks=event.chunks,
                seconds=event.duration / SAMPLE_RATE,
                problem=event.problem,
            )
        )
        return
    known = chunks.setdefault(
        event.chunk,
        ChunkWay(
            chunk=event.chunk,
            start=event.start / SAMPLE_RATE,
            end=event.end / SAMPLE_RATE,
            channel=event.channel,
            cut_at=at,
        ),
    )
    match event:
        case ChunkCut():
            known.cut_at = at
        case ChunkTranscribed():
            known.text_at, known.endpoint_seconds = at, event.endpoint_seconds
        case ChunkFailed():
            known.gaps.append(Gap(at=at, attempt=event.attempt, problem=event.problem))


def _delivery(found: Delivery) -> DeliveryWay:
    return DeliveryWay(attempt=found.attempt, state=found.state, tries=found.tries, next_at=found.next_at)


async def _all(bus: Bus, stream: Stream, subjects: str) -> list[Stored]:
    found, after = [], 0
    while (stored := await bus.next(stream, subjects, after)) is not None:
        after = stored.sequence
        found.append(stored)
    return found


def _run(record: JobRecord) -> str:
    return run_id(record.id, record.run)
