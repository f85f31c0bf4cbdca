"""A gateway over HTTP against a real nats-server; the tests themselves play chunker and transcriber."""

import asyncio
import contextlib
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import aiohttp
import msgspec
import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx

from services.common.bus import Bus
from services.common.service import site
from services.contracts import topology
from services.contracts.identifiers import owner_token
from services.contracts.inference import Segment
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
    Problem,
)
from services.contracts.personal_tokens import Scope
from services.contracts.topology import Stream
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.gateway.access import Route
from services.gateway.app import create_app
from services.gateway.beside import beside
from services.gateway.errors import Unauthorized
from services.gateway.identity import Identity
from services.gateway.settings import Settings
from services.gateway.sse import STREAMS
from tests.tasks import Tasks

SECOND = 16_000

T = TypeVar("T")


class Gateway:
    """A gateway under test: its address, and one HTTP session per user name."""

    def __init__(self, url: str, app: web.Application, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.app = app
        self._session = session

    def request(
        self, method: str, path: str, *, user: str = "ann", **options: Any
    ) -> "aiohttp.client._RequestContextManager":
        headers = {"X-User": user, **options.pop("headers", {})}
        return self._session.request(
            method,
            self.url + path,
            headers=headers,
            allow_redirects=False,
            **options,
        )

    async def json(self, method: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
        async with self.request(method, path, **options) as answer:
            body = await answer.text()
            assert answer.status == status, body
            return json.loads(body)  # type: ignore[no-any-return]


def address(route: Route, value: str = "a" * 26) -> str:
    """An address of a route, with this value in each of its places."""
    return re.sub(r"\{[^{}]+\}", value, route.path)


StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


async def identify(request: web.Request) -> Identity:
    """Believes a header: who somebody is, is tested where it is decided."""
    user = request.headers.get("X-User", "")
    if user == "nobody":
        raise Unauthorized("log in first")
    scopes = request.headers.get("X-Scopes")
    return Identity(
        user=user,
        owner=owner_token(user),
        session=request.headers.get("X-Session", f"session-{user}"),
        roles=tuple(request.headers.get("X-Roles", "").split()),
        scopes=None if scopes is None else tuple(map(Scope, scopes.split())),
    )


@pytest.fixture
def start_gateway(broker: NatsServer) -> StartGateway:
    """Starts gateways with settings of the test's choice; a test whose gateway leaves a task behind fails."""

    @contextlib.asynccontextmanager
    async def start(**settings: object) -> AsyncIterator[Gateway]:
        port, tasks = free_port(), Tasks()
        app = create_app(Settings(nats_url=broker.url, **settings), identify)  # type: ignore[arg-type]
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
            contextlib.AsyncExitStack() as stack,
        ):
            with tasks.begun_here():
                listening = site(app, "127.0.0.1", port, shutdown_seconds=2.0, lingering_seconds=1.0)
                await stack.enter_async_context(listening)
                await stack.enter_async_context(beside(app[STREAMS].tend(asyncio.Event())))
            yield Gateway(f"http://127.0.0.1:{port}", app, session)
        await tasks.must_end()

    return start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    """A gateway with default settings, whose event loop nothing may block."""
    async with start_gateway() as started:
        with blockbuster_ctx("services.gateway"):
            yield started


async def until(condition: Callable[[], Awaitable[T | None]], seconds: float = 15.0) -> T:
    """The first true value of an awaitable condition."""
    async with asyncio.timeout(seconds):
        while not (value := await condition()):  # noqa: ASYNC110  # no event to await
            await asyncio.sleep(0.02)
    return value


async def publish(bus: Bus, run: str, event: JobEvent) -> None:
    match event:
        case ChunkCut():
            subject = topology.cut(run, event.chunk)
        case ChunkTranscribed():
            subject = topology.text(run, event.chunk)
        case ChunkFailed():
            subject = topology.gap(run, event.chunk, event.attempt)
        case JobEnded():
            subject = topology.end(run, event.attempt)
    assert await bus.create(subject, msgspec.json.encode(event))


def cut(chunk: int, source_bytes: int = 1000) -> ChunkCut:
    return ChunkCut(
        chunk=chunk, start=chunk * 20 * SECOND, end=(chunk + 1) * 20 * SECOND, source_bytes=source_bytes
    )


def text(chunk: int, words: str) -> ChunkTranscribed:
    start = chunk * 20
    return ChunkTranscribed(
        chunk=chunk,
        start=start * SECOND,
        end=(start + 20) * SECOND,
        text=words,
        language="en",
        segments=(Segment(start=start, end=start + 20.0, text=words),),
    )


def gap(chunk: int, attempt: int = 0) -> ChunkFailed:
    return ChunkFailed(
        chunk=chunk,
        start=chunk * 20 * SECOND,
        end=(chunk + 1) * 20 * SECOND,
        attempt=attempt,
        problem=Problem(code="endpoint_failed", message="The endpoint failed."),
    )


def ended(
    chunks: int, state: JobState = JobState.COMPLETED, problem: Problem | None = None, attempt: int = 0
) -> JobEnded:
    duration = chunks * 20 * SECOND
    return JobEnded(state=state, attempt=attempt, chunks=chunks, duration=duration, problem=problem)


def failed(code: str, message: str) -> JobEnded:
    return ended(1, JobState.FAILED, Problem(code=code, message=message))


async def record_of(bus: Bus, user: str, job: str) -> JobRecord | None:
    stored = await bus.last(Stream.JOB, topology.job_record(owner_token(user), job))
    return None if stored is None else msgspec.json.decode(stored.data, type=JobRecord)


async def mark(bus: Bus, job: str, *, user: str = "ann", **changes: Any) -> None:
    """Change a job's record as a chunker does."""
    record = await record_of(bus, user, job)
    assert record is not None
    stored = await bus.last(Stream.JOB, topology.job_record(record.owner, job))
    assert stored is not None
    new = msgspec.json.encode(msgspec.structs.replace(record, **changes))
    assert await bus.replace(stored.subject, new, expected=stored.sequence)


async def parts_of(bus: Bus, run: str) -> tuple[bytes, EndOfUpload | None]:
    """All parts of an upload put together, and what its last one says."""
    data, number, end = b"", 0, None
    while (stored := await bus.last(Stream.UP, topology.part(run, number))) is not None:
        data += stored.data
        if HEADER in stored.headers:
            end = msgspec.json.decode(stored.headers[HEADER], type=EndOfUpload)
        number += 1
    return data, end


def form(
    content: bytes | AsyncIterator[bytes], *, after: dict[str, str] | None = None, **fields: str
) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for name, value in fields.items():
        made.add_field(name, value)
    sent = io.BytesIO(content) if isinstance(content, bytes) else content
    made.add_field("file", sent, filename="talk.mp3", content_type="audio/mpeg")
    for name, value in (after or {}).items():
        made.add_field(name, value)
    return made


async def upload(gateway: Gateway, content: bytes = b"sound", **options: Any) -> dict[str, Any]:
    return await gateway.json(
        "POST",
        "/v1/jobs",
        201,
        data=io.BytesIO(content),
        **{"headers": {"Content-Type": "audio/mpeg"}, **options},
    )
