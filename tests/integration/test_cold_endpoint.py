"""A queue of chunks in front of an endpoint that refuses everybody, or whose model fails."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.identifiers import job_id, run_id
from services.contracts.messages import HEADER, ChunkFailed, JobOptions, JobRecord, Lane, TranscribeChunk
from services.contracts.topology import Stream
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.dev.sagemaker_runtime import refusal
from services.dev.stand_in_endpoint import StandIn, stand_in
from services.transcriber.endpoint import connected
from services.transcriber.settings import Settings
from services.transcriber.worker import Transcriber
from tests.gateways import until
from tests.pipeline import OWNER

SLOTS = 4
SOON = 3.5
"""Seconds: one look into the queue, on a machine that has much to do; less than one for each slot."""
CHUNKS = 20
JOB = job_id("tester", "cold")
RUN = run_id(JOB, 0)


class Working:
    """A transcriber at work."""

    def __init__(self, run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        self._stop = asyncio.Event()
        self._task = asyncio.ensure_future(run(self._stop))

    async def stop(self) -> float:
        """As SIGTERM does; the seconds it takes."""
        started = time.monotonic()
        self._stop.set()
        async with asyncio.timeout(30):
            await self._task
        return time.monotonic() - started

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Queue:
    """The queue of chunks, those who work on it, and what came of them."""

    def __init__(self, bus: Bus, url: str) -> None:
        self._bus = bus
        self._url = url

    async def fill(self, chunks: int = CHUNKS) -> None:
        """A job with so many chunks that wait."""
        record = JobRecord(
            id=JOB,
            owner=OWNER,
            user="tester",
            session="s",
            name="talk",
            options=JobOptions(),
            created_at=time.time(),
            lane=Lane.SHORT,
        )
        await Documents(self._bus, Stream.JOB, JobRecord).create(topology.job_record(OWNER, JOB), record)
        for number in range(chunks):
            command = TranscribeChunk(
                owner=OWNER, job=JOB, run=0, attempt=0, chunk=number, start=0, end=16_000
            )
            header = {HEADER: msgspec.json.encode(command).decode()}
            await self._bus.create(topology.chunk(Lane.SHORT, OWNER, RUN, number), b"%d" % number, header)

    async def texts(self) -> int:
        return len(await self._bus.subjects(Stream.RES, topology.text(RUN)))

    async def gaps(self) -> list[ChunkFailed]:
        stored = await self._bus.subjects(Stream.RES, topology.gap(RUN))
        found = [await self._bus.last(Stream.RES, subject) for subject in stored]
        return [msgspec.json.decode(one.data, type=ChunkFailed) for one in found if one is not None]

    async def waiting(self) -> int:
        return len(await self._bus.subjects(Stream.CHUNK, "chunk.>"))

    async def all_done(self) -> bool:
        return not await self.waiting()

    @contextlib.asynccontextmanager
    async def transcriber(self, **settings: object) -> AsyncIterator[Working]:
        chosen = Settings(nats_url=self._url, transcriber_slots=SLOTS, **settings)  # type: ignore[arg-type]
        async with connected(chosen) as client:
            working = Working(Transcriber(self._bus, client, chosen).run)
            try:
                yield working
            finally:
                await working.end()


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    """One that refuses nothing yet."""
    made = StandIn(seconds=0.3, capacity=SLOTS)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with stand_in(made, free_port()) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
        yield made


@pytest.fixture
def queue(bus: Bus, broker: NatsServer) -> Queue:
    return Queue(bus, broker.url)


def cold(_call: int) -> web.StreamResponse:
    return refusal("ModelNotReadyException", 429, "not ready")


def throttled(_call: int) -> web.StreamResponse:
    return refusal("ThrottlingException", 400, "slow down")


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def held() -> bool:
    """All places but one are taken by chunks that wait."""
    return metric("whisper_endpoint_held_chunks") >= SLOTS


@pytest.mark.parametrize("refusing", [cold, throttled])
async def test_a_refusing_endpoint_is_asked_by_one_chunk_at_a_time(
    queue: Queue, endpoint: StandIn, refusing: Callable[[int], web.StreamResponse]
) -> None:
    endpoint.failing = refusing
    await queue.fill()
    async with queue.transcriber():
        await until(held)
        first, probes = endpoint.calls, metric("whisper_endpoint_probes_total")
        assert first <= SLOTS
        assert metric("whisper_endpoint_closed") == 1

        async def asked_again() -> bool:
            return endpoint.calls > first

        await until(asked_again)
        endpoint.failing = lambda _call: None
        refusals = endpoint.calls
        assert refusals - first == metric("whisper_endpoint_probes_total") - probes == 1
        await until(queue.all_done)
    assert await queue.texts() == CHUNKS
    assert endpoint.calls == refusals + CHUNKS
    assert endpoint.most_running == SLOTS, "it did not open up again"
    assert metric("whisper_endpoint_closed") == metric("whisper_endpoint_held_chunks") == 0


async def test_a_stop_hands_back_what_waits_for_a_cold_endpoint(queue: Queue, endpoint: StandIn) -> None:
    endpoint.failing = cold
    await queue.fill()
    async with queue.transcriber() as working:
        await until(held)
        assert await working.stop() < SOON
    assert await queue.waiting() == CHUNKS

    endpoint.failing = lambda _call: None
    async with queue.transcriber():
        await until(queue.all_done)
    assert await queue.texts() == CHUNKS


async def test_an_endpoint_that_stays_cold_leaves_gaps_as_soon_as_it_did(
    queue: Queue, endpoint: StandIn
) -> None:
    """Each chunk's patience runs while it waits, also in the queue: together they end, not one by one."""
    patience = 3
    endpoint.failing = cold
    await queue.fill()
    started = time.monotonic()
    async with queue.transcriber(chunk_patience_seconds=patience):
        await until(queue.all_done, seconds=3 * patience + 5)
    gaps = await queue.gaps()
    assert sorted(gap.chunk for gap in gaps) == list(range(CHUNKS))
    assert {gap.problem.code for gap in gaps} == {"endpoint_cold"}
    assert time.monotonic() - started > patience
    assert endpoint.calls < CHUNKS


async def test_a_poison_chunk_is_tried_as_often_by_many_processes_as_by_one(
    queue: Queue, endpoint: StandIn
) -> None:
    endpoint.failing = lambda _call: refusal("ModelError", 424, "failed", original=500, said=b"broke")
    await queue.fill(1)
    async with queue.transcriber(), queue.transcriber(), queue.transcriber():
        await until(queue.all_done, seconds=40)
    [gap] = await queue.gaps()
    assert (gap.problem.code, endpoint.calls) == ("model_failed", Settings().model_attempts)


async def test_a_stop_hands_back_a_chunk_that_is_to_be_tried_again(queue: Queue, endpoint: StandIn) -> None:
    endpoint.failing = lambda _call: refusal("ModelError", 424, "failed", original=500, said=b"broke")
    await queue.fill(1)
    async with queue.transcriber() as working:

        async def failed() -> bool:
            return endpoint.calls == 1

        await until(failed)
        assert await working.stop() < SOON
    assert endpoint.calls == 1
    endpoint.failing = lambda _call: None
    async with queue.transcriber():
        await until(queue.all_done)
    assert await queue.texts() == 1
