"""Running jobs as their readers see them: the benchmark plays chunker and transcriber."""

import asyncio
import calendar
import random
import time
import uuid
from collections.abc import Sequence

import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.inference import SAMPLE_RATE, Segment
from services.contracts.messages import (
    ChunkCut,
    ChunkTranscribed,
    JobOptions,
    JobRecord,
    JobState,
    Lane,
    UploadState,
)
from services.contracts.topology import Stream
from services.gateway.event_views import named
from services.gateway.sse import encoded

CHUNK_SECONDS = 20
EVERY_SECONDS = 4.0
"""Between two chunks of a job: five times real time."""
WORDS = "the meeting about the new window is on march seven and everybody should bring a list of names"


def running_job(user: str) -> JobRecord:
    """The record of a job whose recording is stored and is being transcribed."""
    return JobRecord(
        id=job_id(user, str(uuid.uuid4())),
        owner=owner_token(user),
        user=user,
        session="bench",
        name="meeting.mp3",
        options=JobOptions(),
        created_at=time.time(),
        lane=Lane.LONG,
        upload=UploadState.STORED,
        upload_bytes=100_000_000,
        state=JobState.RUNNING,
        started_at=time.time(),
        duration=10 * 3600 * SAMPLE_RATE,
    )


async def store(bus: Bus, record: JobRecord) -> None:
    """Make the job known."""
    assert await bus.create(topology.job_record(record.owner, record.id), msgspec.json.encode(record))


def chunk_events(chunk: int) -> tuple[ChunkCut, ChunkTranscribed]:
    """The plan and the text of a chunk of 20 s, as much text as people speak in them."""
    start, end = chunk * CHUNK_SECONDS, (chunk + 1) * CHUNK_SECONDS
    segments = tuple(
        Segment(start=start + 5.0 * part, end=start + 5.0 * (part + 1), text=WORDS) for part in range(4)
    )
    cut = ChunkCut(
        chunk=chunk, start=start * SAMPLE_RATE, end=end * SAMPLE_RATE, source_bytes=160_000 * (chunk + 1)
    )
    text = ChunkTranscribed(
        chunk=chunk,
        start=start * SAMPLE_RATE,
        end=end * SAMPLE_RATE,
        text=" ".join([WORDS] * 4),
        language="en",
        segments=segments,
    )
    return cut, text


class Job:
    """One running job, chunk after chunk."""

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self.chunk = 0
        self.sent_at: dict[int, float] = {}
        """When each event was published past the gateway, by its number."""

    async def advance(self, bus: Bus) -> None:
        """Store a cut and its text."""
        cut, text = chunk_events(self.chunk)
        run = run_id(self.record.id, self.record.run)
        await bus.create(topology.cut(run, self.chunk), msgspec.json.encode(cut))
        await bus.create(topology.text(run, self.chunk), msgspec.json.encode(text))
        self.chunk += 1

    async def advance_bare(self, bus: Bus) -> None:
        """Send the same bytes to the readers of the bare server."""
        for event in chunk_events(self.chunk):
            number = len(self.sent_at) + 1
            name, data = named(event)
            sent = encoded(data, event=name, sequence=number)
            self.sent_at[number] = time.time()
            await bus.client.publish(f"bare.{self.record.id}", sent)
        self.chunk += 1

    async def stored_at(self, bus: Bus) -> dict[int, float]:
        """When JetStream stored each of the job's events (Unix time in s), by sequence."""
        times, after = {}, 0
        subjects = topology.results(run_id(self.record.id, self.record.run))
        while (found := await bus.next(Stream.RES, subjects, after)) is not None:
            after = found.sequence
            times[after] = seconds_of(found.headers["Nats-Time-Stamp"])
        return times


async def run(jobs: Sequence[Job], bus: Bus, seconds: float, *, bare: bool = False) -> None:
    """All jobs beside each other for so long, each beginning at a moment of its own."""

    async def one(job: Job) -> None:
        began = time.monotonic()
        due = random.uniform(0, EVERY_SECONDS)
        while due < seconds:
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            await (job.advance_bare(bus) if bare else job.advance(bus))
            due += EVERY_SECONDS

    await asyncio.gather(*map(one, jobs))


def seconds_of(stamp: str) -> float:
    """RFC 3339 with nanoseconds as Unix time: `datetime` keeps microseconds only."""
    whole, _, rest = stamp.removesuffix("Z").partition(".")
    moment = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(moment) + float(f"0.{rest or 0}")
