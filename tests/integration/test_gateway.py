"""The gateway over HTTP against a real nats-server; the test itself plays chunker and transcriber."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import msgspec
import pytest
from aiohttp import web

from services.common.bus import Bus
from services.common.service import site
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
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
    StartJob,
    UploadState,
)
from services.contracts.topology import PART_BYTES, Stream
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.gateway.app import create_app
from services.gateway.errors import Unauthorized
from services.gateway.identity import Identity
from services.gateway.settings import Settings

SECOND = 16_000


class Gateway:
    """A gateway under test: its address, and one HTTP session per user name."""

    def __init__(self, url: str, app: web.Application, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.app = app
        self._session = session

    def request(
        self, method: str, path: str, *, user: str = "ann", **options: object
    ) -> "aiohttp.client._RequestContextManager":
        headers = {"X-User": user, **options.pop("headers", {})}  # type: ignore[dict-item]
        return self._session.request(
            method,
            self.url + path,
            headers=headers,
            allow_redirects=False,
            **options,  # type: ignore[arg-type]
        )

    async def json(self, method: str, path: str, status: int = 200, **options: object) -> dict[str, object]:
        async with self.request(method, path, **options) as answer:
            body = await answer.text()
            assert answer.status == status, body
            return json.loads(body)  # type: ignore[no-any-return]


StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


async def identify(request: web.Request) -> Identity:
    """Believes a header: who somebody is, is tested where it is decided."""
    user = request.headers.get("X-User", "")
    if user == "nobody":
        raise Unauthorized("log in first")
    return Identity(
        user=user,
        owner=owner_token(user),
        session=request.headers.get("X-Session", f"session-{user}"),
        roles=(),
    )


@pytest.fixture
def start_gateway(broker: NatsServer) -> StartGateway:
    """Starts gateways with settings of the test's choice."""

    @contextlib.asynccontextmanager
    async def start(**settings: object) -> AsyncIterator[Gateway]:
        port = free_port()
        app = create_app(Settings(nats_url=broker.url, **settings), identify)  # type: ignore[arg-type]
        async with (
            site(app, "127.0.0.1", port, shutdown_seconds=2.0),
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        ):
            yield Gateway(f"http://127.0.0.1:{port}", app, session)

    return start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    async with start_gateway() as started:
        yield started


async def until(condition: Callable[[], object], seconds: float = 15.0) -> object:
    """The first true value of an awaitable condition."""
    async with asyncio.timeout(seconds):
        while not (value := await condition()):  # type: ignore[misc]  # noqa: ASYNC110  # no event to await
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


def gap(chunk: int) -> ChunkFailed:
    return ChunkFailed(
        chunk=chunk,
        start=chunk * 20 * SECOND,
        end=(chunk + 1) * 20 * SECOND,
        attempt=0,
        problem=Problem(code="endpoint_failed", message="The endpoint failed."),
    )


def ended(chunks: int, state: JobState = JobState.COMPLETED, problem: Problem | None = None) -> JobEnded:
    return JobEnded(state=state, attempt=0, chunks=chunks, duration=chunks * 20 * SECOND, problem=problem)


async def record_of(bus: Bus, user: str, job: str) -> JobRecord | None:
    stored = await bus.last(Stream.JOB, topology.job_record(owner_token(user), job))
    return None if stored is None else msgspec.json.decode(stored.data, type=JobRecord)


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


async def upload(gateway: Gateway, content: bytes = b"sound", **options: object) -> dict[str, object]:
    return await gateway.json(
        "POST",
        "/v1/jobs",
        201,
        data=io.BytesIO(content),
        **{"headers": {"Content-Type": "audio/mpeg"}, **options},
    )


async def test_a_bare_body_becomes_parts_a_command_and_a_job(gateway: Gateway, bus: Bus) -> None:
    content = os.urandom(PART_BYTES * 3 + 1234)
    async with gateway.request(
        "POST",
        "/v1/jobs?language=en&name=My+talk",
        data=io.BytesIO(content),
        headers={"Content-Type": "audio/mpeg"},
    ) as answer:
        assert answer.status == 201
        job = await answer.json()
        assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["name"], job["status"], job["options"]["language"]) == ("My talk", "queued", "en")
    assert job["upload"] == {"state": "stored", "bytes": len(content), "total_bytes": len(content)}

    data, end = await parts_of(bus, run_id(job["id"], 0))
    assert data == content
    assert end == EndOfUpload(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    command = await bus.last(Stream.CTL, topology.control("short", owner_token("ann"), run_id(job["id"], 0)))
    assert command is not None
    assert msgspec.json.decode(command.data, type=StartJob).job == job["id"]


async def test_a_form_uploads_the_same_bytes(gateway: Gateway, bus: Bus) -> None:
    content = os.urandom(PART_BYTES + 99) + b"\r\n--" + os.urandom(50)
    job = await gateway.json("POST", "/v1/jobs", 201, data=form(content, task="translate"))
    assert (job["name"], job["options"]["task"]) == ("talk.mp3", "translate")  # type: ignore[index]
    data, _ = await parts_of(bus, run_id(str(job["id"]), 0))
    assert data == content


async def test_parts_and_job_are_there_while_the_upload_still_runs(gateway: Gateway, bus: Bus) -> None:
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a" * PART_BYTES
        yield b"b" * 10
        await go_on.wait()
        yield b"c"

    key = str(uuid.uuid4())
    job = job_id("ann", key)
    options = {"headers": {"Idempotency-Key": key}}
    uploading = asyncio.create_task(
        gateway.json("POST", "/v1/jobs", 201, data=form(slowly(), name="x"), **options)
    )
    first = await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 0)))
    assert first.data == b"a" * PART_BYTES  # type: ignore[attr-defined]
    second = await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 1)))
    assert second.data == b"b" * 10  # type: ignore[attr-defined]
    shown = await gateway.json("GET", f"/v1/jobs/{job}")
    assert shown["upload"]["state"] == "receiving"  # type: ignore[index]
    listed = await gateway.json("GET", f"/v1/jobs?idempotency_key={key}")
    assert [one["id"] for one in listed["jobs"]] == [job]  # type: ignore[attr-defined]
    busy = await gateway.json("POST", "/v1/jobs", 409, data=form(b"x", name="x"), **options)
    assert busy["error"]["code"] == "upload_in_progress"  # type: ignore[index]
    go_on.set()
    assert (await uploading)["id"] == job


async def test_options_after_the_file_count_and_start_the_job(gateway: Gateway, bus: Bus) -> None:
    job = await gateway.json(
        "POST", "/v1/jobs", 201, data=form(b"sound", after={"language": "zh", "name": "late"})
    )
    assert (job["name"], job["options"]["language"]) == ("late", "zh")  # type: ignore[index]
    control = topology.control("short", owner_token("ann"), run_id(str(job["id"]), 0))
    assert await bus.last(Stream.CTL, control) is not None


async def test_a_wrong_option_after_the_file_leaves_no_job(gateway: Gateway) -> None:
    refused = await gateway.json("POST", "/v1/jobs", 400, data=form(b"sound", after={"language": "klingon"}))
    assert refused["error"]["code"] == "invalid_option"  # type: ignore[index]
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


async def test_fields_on_both_sides_of_the_file_are_refused(gateway: Gateway) -> None:
    refused = await gateway.json("POST", "/v1/jobs", 400, data=form(b"x", name="a", after={"language": "en"}))
    assert "before" in refused["error"]["message"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("language=xx", "invalid_option", "language"),
        ("task=sing", "invalid_option", "task"),
        ("temperature=2", "invalid_option", "temperature"),
        ("skip_silence=maybe", "invalid_option", "skip_silence"),
        ("colour=red", "invalid_option", "colour"),
        ("boost_factor=9", "invalid_option", "boost_factor"),
        ("hotword_method=shout", "invalid_hotwords", "hotword_method"),
        ("hotwords=[1]", "invalid_hotwords", "hotwords"),
    ],
)
async def test_an_unknown_value_is_named(gateway: Gateway, query: str, code: str, field: str) -> None:
    refused = await gateway.json(
        "POST", f"/v1/jobs?{query}", 400, data=b"sound", headers={"Content-Type": "audio/mpeg"}
    )
    assert (refused["error"]["code"], refused["error"]["field"]) == (code, field)  # type: ignore[index]


async def test_5001_hotwords_are_refused_and_5000_taken(gateway: Gateway) -> None:
    words = [f"word{number}" for number in range(5001)]
    refused = await gateway.json("POST", "/v1/jobs", 400, data=form(b"x", hotwords=json.dumps(words)))
    assert refused["error"]["code"] == "invalid_hotwords"  # type: ignore[index]
    assert "5001" in refused["error"]["message"]  # type: ignore[index]
    job = await gateway.json("POST", "/v1/jobs", 201, data=form(b"x", hotwords=json.dumps(words[:5000])))
    assert len(job["options"]["hotwords"]["words"]) == 5000  # type: ignore[index]


async def test_an_empty_recording_is_refused_and_leaves_no_job(gateway: Gateway) -> None:
    for data in (form(b"", name="x"), form(b"")):
        refused = await gateway.json("POST", "/v1/jobs", 400, data=data)
        assert refused["error"]["code"] == "empty_file"  # type: ignore[index]
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


async def test_another_media_type_is_refused(gateway: Gateway) -> None:
    refused = await gateway.json("POST", "/v1/jobs", 415, data="text", headers={"Content-Type": "text/plain"})
    assert refused["error"]["code"] == "unsupported_media_type"  # type: ignore[index]


async def test_the_size_limit_holds_at_the_door_and_on_the_way(start_gateway: StartGateway, bus: Bus) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with start_gateway(max_upload_bytes=1_000_000) as gateway:
        headers = {"Content-Type": "audio/mpeg"}
        body = io.BytesIO(b"x" * 1_000_001)
        refused = await gateway.json("POST", "/v1/jobs", 413, data=body, headers=headers)
        assert refused["error"]["code"] == "too_large"  # type: ignore[index]

        key = str(uuid.uuid4())
        headers["Idempotency-Key"] = key
        await gateway.json("POST", "/v1/jobs", 413, data=unannounced(), headers=headers)
        record = await record_of(bus, "ann", job_id("ann", key))
        assert record is not None
        assert record.upload is UploadState.INTERRUPTED


async def test_a_client_that_leaves_interrupts_its_upload(gateway: Gateway, bus: Bus) -> None:
    async def hang() -> AsyncIterator[bytes]:
        yield b"a" * PART_BYTES
        yield b"rest"
        await asyncio.Event().wait()

    key = str(uuid.uuid4())
    job, options = job_id("ann", key), {"headers": {"Idempotency-Key": key}}
    uploading = asyncio.create_task(gateway.json("POST", "/v1/jobs", data=form(hang(), name="x"), **options))
    await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 0)))
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)

    async def interrupted() -> bool:
        record = await record_of(bus, "ann", job)
        return record is not None and record.upload is UploadState.INTERRUPTED

    await until(interrupted)
    data, end = await parts_of(bus, run_id(job, 0))
    assert data == b"a" * PART_BYTES + b"rest"
    assert end is not None
    assert end.interrupted is not None
    assert end.interrupted.code == "upload_interrupted"

    again = await gateway.json("POST", "/v1/jobs", 201, data=form(b"whole", name="x"), **options)
    assert again["id"] == job
    assert (await parts_of(bus, run_id(job, 1)))[0] == b"whole"
    assert await bus.subjects(Stream.UP, topology.part(run_id(job, 0))) == {}


async def test_a_slow_client_is_cut_off(start_gateway: StartGateway) -> None:
    async def hang() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(30)

    async with start_gateway(stall_seconds=1.0) as gateway:
        refused = await gateway.json("POST", "/v1/jobs", 408, data=form(hang(), name="x"))
        assert refused["error"]["code"] == "upload_too_slow"  # type: ignore[index]


async def test_the_chunkers_word_that_an_upload_is_dead_ends_it(gateway: Gateway, bus: Bus) -> None:
    go_on = asyncio.Event()

    async def pause() -> AsyncIterator[bytes]:
        yield b"a" * PART_BYTES
        await go_on.wait()
        yield b"b" * PART_BYTES

    key = str(uuid.uuid4())
    job, options = job_id("ann", key), {"headers": {"Idempotency-Key": key}}
    uploading = asyncio.create_task(
        gateway.json("POST", "/v1/jobs", 408, data=form(pause(), name="x"), **options)
    )
    await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 0)))
    said = EndOfUpload(bytes=0, interrupted=Problem(code="upload_interrupted", message="dead"))
    await bus.create(topology.part(run_id(job, 0), 1), b"", {HEADER: msgspec.json.encode(said).decode()})
    go_on.set()
    assert (await uploading)["error"]["code"] == "upload_interrupted"  # type: ignore[index]


async def test_the_same_key_and_content_give_the_same_job(gateway: Gateway) -> None:
    options = {"headers": {"Idempotency-Key": str(uuid.uuid4())}}
    first = await gateway.json("POST", "/v1/jobs", 201, data=form(b"sound", language="en"), **options)
    again = await gateway.json("POST", "/v1/jobs", 200, data=form(b"sound", language="en"), **options)
    assert again["id"] == first["id"]
    for other in (
        form(b"noise", language="en"),
        form(b"sound", language="zh"),
        form(b"sound!", language="en"),
    ):
        refused = await gateway.json("POST", "/v1/jobs", 409, data=other, **options)
        assert refused["error"]["code"] == "different_content"  # type: ignore[index]
    other_user = await gateway.json(
        "POST", "/v1/jobs", 201, data=form(b"noise", name="x"), user="bob", **options
    )
    assert other_user["id"] != first["id"]


async def test_a_key_must_be_a_uuid(gateway: Gateway) -> None:
    refused = await gateway.json(
        "POST", "/v1/jobs", 400, data=form(b"x", name="x"), headers={"Idempotency-Key": "again"}
    )
    assert refused["error"]["field"] == "Idempotency-Key"  # type: ignore[index]
