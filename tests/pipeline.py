"""Chunker and transcriber in this process, with real NATS, ffmpeg and aiobotocore and a stand-in endpoint."""

import asyncio
import contextlib
import functools
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.chunker.chunks import Tools
from services.chunker.settings import Settings as ChunkerSettings
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from services.chunker.worker import Chunker
from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import (
    HEADER,
    EndOfUpload,
    JobEvent,
    JobOptions,
    JobRecord,
    Lane,
    StartJob,
)
from services.contracts.topology import Stream
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from services.transcriber.endpoint import connected
from services.transcriber.settings import Settings as TranscriberSettings
from services.transcriber.worker import Transcriber
from tests.decoder import limits
from tests.speech import recording

OWNER = owner_token("tester")


class Pipeline:
    """A chunker and a transcriber working in this process, and what a gateway would do."""

    def __init__(self, bus: Bus, endpoint: StandIn, chunker: "asyncio.Future[None]") -> None:
        self.bus = bus
        self.endpoint = endpoint
        self.chunker = chunker
        self.jobs = Documents(bus, Stream.JOB, JobRecord)

    async def start_job(self, key: str, *, admitted: bool = False, **options: object) -> str:
        """Make a job; it waits for a place unless it was `admitted`."""
        job = job_id("tester", key)
        command = StartJob(owner=OWNER, job=job, run=0)
        waiting = topology.waiting(Lane.SHORT, OWNER, run_id(job, 0), 0)
        subject = topology.admitted(waiting) if admitted else waiting
        await self.bus.create(subject, msgspec.json.encode(command))
        record = JobRecord(
            id=job,
            owner=OWNER,
            user="tester",
            session="s",
            name="talk",
            options=JobOptions(**options),  # type: ignore[arg-type]
            created_at=time.time(),
            lane=Lane.SHORT,
        )
        assert await self.jobs.create(topology.job_record(OWNER, job), record)
        return job

    async def upload(self, job: str, data: bytes, *, first: int = 0, end: bool = True) -> int:
        number = first
        for start in range(0, len(data), 50_000):
            await self.bus.create(topology.part(run_id(job, 0), number), data[start : start + 50_000])
            number += 1
        if end:
            last = EndOfUpload(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            await self.bus.create(
                topology.part(run_id(job, 0), number), b"", {HEADER: msgspec.json.encode(last).decode()}
            )
        return number

    async def record(self, job: str) -> JobRecord:
        found = await self.jobs.get(topology.job_record(OWNER, job))
        assert found is not None
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110  # what it asks for is in the broker
                await asyncio.sleep(0.05)

    async def until_final(self, job: str, seconds: float = 40) -> JobRecord:
        async def final() -> bool:
            return (await self.record(job)).state.final

        await self.until(final, seconds)
        return await self.record(job)

    async def events(self, job: str) -> list[JobEvent]:
        found, after = [], 0
        while (
            stored := await self.bus.next(Stream.RES, topology.results(run_id(job, 0)), after)
        ) is not None:
            after = stored.sequence
            found.append(msgspec.json.decode(stored.data, type=JobEvent))
        return found


@contextlib.asynccontextmanager
async def worker(
    run: Callable[[asyncio.Event], Awaitable[None]],
) -> AsyncIterator["asyncio.Future[None]"]:
    task = asyncio.ensure_future(run(asyncio.Event()))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


StartPipeline = Callable[..., AbstractAsyncContextManager[Pipeline]]


@contextlib.asynccontextmanager
async def piped(
    bus: Bus, nats_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[Pipeline]:
    """A pipeline at this broker, whose transcriber has settings of the test's choice."""
    endpoint = StandIn(seconds=0.02, capacity=4)
    async with stand_in(endpoint, free_port()) as url:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url,
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        chunker = make_chunker(bus, folder)
        chosen = TranscriberSettings(nats_url=nats_url, transcriber_slots=4, **settings)
        async with (
            connected(chosen) as client,
            worker(chunker.run) as chunking,
            worker(Transcriber(bus, client, chosen).run),
        ):
            yield Pipeline(bus, endpoint, chunking)


@pytest.fixture
def start_pipeline(
    broker: NatsServer, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StartPipeline:
    """Starts pipelines at the test's broker."""
    return functools.partial(piped, bus, broker.url, tmp_path, monkeypatch)


@pytest.fixture
async def pipeline(start_pipeline: StartPipeline) -> AsyncIterator[Pipeline]:
    """One that loses patience soon."""
    async with start_pipeline(chunk_patience_seconds=5) as started:
        yield started


def make_chunker(bus: Bus, directory: Path, **settings: int) -> Chunker:
    chosen = ChunkerSettings(upload_silence_seconds=2.0, **settings)  # type: ignore[arg-type]
    tools = Tools(model=SpeechModel(), spool=Spool(directory, 10**9), limits=limits())
    return Chunker(bus, chosen, tools)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=100, seed=4, fmt="mp3")
    return path.read_bytes()
