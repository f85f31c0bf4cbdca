"""Work that a queue still holds and gives to nobody, as nats-server may after kill -9: it is queued anew."""

import contextlib
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from services.chunker.admission import Admission
from services.common.bus import Bus, connect
from services.common.queues import enqueue
from services.common.settings import ServiceSettings
from services.contracts import attempts, topology
from services.contracts.identifiers import job_id, owner_token
from services.contracts.messages import JobOptions, JobRecord, JobState, Lane, StartJob, UploadState
from services.contracts.topology import CHUNKERS, MINIMUM_SERVER, TRANSCRIBERS, ConsumerSpec, Stream
from services.dev.nats_server import NatsServer
from services.dev.stand_in_endpoint import StandIn
from services.gateway.janitor import Janitor
from services.gateway.jobs import Jobs
from services.gateway.settings import Settings
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings
from tests.gateways import record_of
from tests.pipeline import Pipeline, make_chunker, worker

CHUNK = topology.chunk(Lane.SHORT, "owner", "run-0", 0)


@contextlib.asynccontextmanager
async def running(server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to a server that is stopped behind it."""
    await server.start()
    try:
        async with connect(ServiceSettings(nats_url=server.url), "test", MINIMUM_SERVER) as bus:
            await declare(bus.jetstream, ProvisionSettings(nats_url=server.url))
            yield bus
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def forgetful(folder: Path, consumer: ConsumerSpec, subject: str, data: bytes) -> AsyncIterator[Bus]:
    """A queue whose consumer takes its one message for settled: the stream's files are older than its own."""
    server = NatsServer(folder / "nats")
    messages = folder / "nats/jetstream/$G/streams" / consumer.stream / "msgs"
    async with running(server) as bus:
        await bus.create(subject, data)
    shutil.copytree(messages, folder / "kept")
    async with running(server) as bus:
        await fetched(bus, consumer)
    shutil.rmtree(messages)
    shutil.copytree(folder / "kept", messages)
    async with running(server) as bus:
        yield bus


async def fetched(bus: Bus, consumer: ConsumerSpec) -> bytes:
    """Take the next message of a queue, and settle it."""
    subscription = await bus.jetstream.pull_subscribe_bind(consumer.name, consumer.stream)
    [message] = await subscription.fetch(1, timeout=20)
    await message.ack_sync()
    await subscription.unsubscribe()
    return message.data


async def test_a_forgotten_chunk_is_queued_anew(tmp_path: Path) -> None:
    async with forgetful(tmp_path, TRANSCRIBERS[Lane.SHORT], CHUNK, b"sound") as bus:
        info = await bus.jetstream.consumer_info(*TRANSCRIBERS[Lane.SHORT].queue)
        assert await bus.subjects(Stream.CHUNK, ">") == {CHUNK: 1}
        assert (info.num_pending, info.num_ack_pending) == (0, 0), "nobody would ever get it"

        assert await enqueue(bus, TRANSCRIBERS[Lane.SHORT].queue, CHUNK, b"sound")

        assert await bus.subjects(Stream.CHUNK, ">") == {CHUNK: 1}
        assert await fetched(bus, TRANSCRIBERS[Lane.SHORT]) == b"sound"


async def test_work_that_waits_or_is_in_hand_stays_as_it_is(bus: Bus) -> None:
    assert await enqueue(bus, TRANSCRIBERS[Lane.SHORT].queue, CHUNK, b"first")
    assert not await enqueue(bus, TRANSCRIBERS[Lane.SHORT].queue, CHUNK, b"waits")
    subscription = await bus.jetstream.pull_subscribe_bind(
        TRANSCRIBERS[Lane.SHORT].name, TRANSCRIBERS[Lane.SHORT].stream
    )
    [message] = await subscription.fetch(1, timeout=20)

    assert not await enqueue(bus, TRANSCRIBERS[Lane.SHORT].queue, CHUNK, b"in hand")

    stored = await bus.last(Stream.CHUNK, CHUNK)
    assert stored is not None
    assert (stored.data, stored.sequence) == (b"first", message.metadata.sequence.stream)
    await message.ack_sync()
    await subscription.unsubscribe()


async def test_a_job_whose_command_is_forgotten_is_handed_out_again(tmp_path: Path) -> None:
    record = JobRecord(
        id=job_id("ann", str(uuid.uuid4())),
        owner=owner_token("ann"),
        user="ann",
        session="s",
        name="talk.mp3",
        options=JobOptions(),
        created_at=time.time(),
        lane=Lane.LONG,
        upload=UploadState.STORED,
        state=JobState.RUNNING,
    )
    chunker, command = CHUNKERS[record.lane], attempts.command(record)
    subject = attempts.command_subject(record)
    async with forgetful(tmp_path, chunker, subject, msgspec.json.encode(command)) as bus:
        jobs = Jobs(bus)
        await jobs.create(record)

        await Janitor(bus, jobs, Settings(orphan_seconds=0.0)).round()

        async with worker(Admission(bus, user_jobs=1).run):
            assert msgspec.json.decode(await fetched(bus, chunker), type=StartJob) == command
        assert await record_of(bus, "ann", record.id) == record


async def test_a_window_full_of_forgotten_chunks_is_sent_anew(tmp_path: Path, talk: bytes) -> None:
    """They count as queued, so a chunker that takes the job over must not wait for any of them."""
    short, size = TRANSCRIBERS[Lane.SHORT], 3
    server = NatsServer(tmp_path / "nats")
    messages = tmp_path / "nats/jetstream/$G/streams/CHUNK/msgs"
    async with running(server) as bus:
        async with worker(make_chunker(bus, tmp_path, window_chunks=size).run) as chunking:
            pipeline = Pipeline(bus, StandIn(seconds=0.0, capacity=1), chunking)
            await pipeline.upload(await pipeline.start_job("a", admitted=True), talk)

            async def full() -> bool:
                return len(await bus.subjects(Stream.CHUNK, ">")) == size

            await pipeline.until(full)
        [command] = await bus.subjects(Stream.CTL, ">")
        handed_over = await bus.last(Stream.CTL, command)
        assert handed_over is not None
    shutil.copytree(messages, tmp_path / "kept")
    async with running(server) as bus:
        sent = [await fetched(bus, short) for _ in range(size)]
    shutil.rmtree(messages)
    shutil.copytree(tmp_path / "kept", messages)

    async with running(server) as bus, worker(make_chunker(bus, tmp_path, window_chunks=size).run):
        await bus.purge(Stream.CTL, command)  # as new, it need not be given up by the first chunker
        await bus.create(command, handed_over.data)
        assert [await fetched(bus, short) for _ in range(size)] == sent
