"""Uploads that break off, meet a limit, or outlive what they need: each ends with an answer and a state."""

import asyncio
import contextlib
import hashlib
import io
import os
import uuid
from collections.abc import AsyncIterator

import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, run_id
from services.contracts.messages import (
    HEADER,
    EndOfUpload,
    JobState,
    Problem,
    UploadState,
)
from services.contracts.topology import PART_BYTES, Stream
from services.dev.nats_server import NatsServer
from services.gateway.jobs import JOBS
from tests.gateways import (
    Gateway,
    StartGateway,
    form,
    parts_of,
    record_of,
    until,
)


async def test_the_size_limit_holds_at_the_door_and_on_the_way(start_gateway: StartGateway, bus: Bus) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with start_gateway(max_upload_bytes=1_000_000) as gateway:
        headers = {"Content-Type": "audio/mpeg"}
        body = io.BytesIO(b"x" * 1_000_001)
        refused = await gateway.json("POST", "/v1/jobs", 413, data=body, headers=headers)
        assert refused["error"]["code"] == "too_large"

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
    uploading = asyncio.create_task(
        gateway.json("POST", "/v1/jobs", status=201, data=form(hang(), name="x"), **options)
    )
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
        assert refused["error"]["code"] == "upload_too_slow"


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
    assert (await uploading)["error"]["code"] == "upload_interrupted"


async def test_a_full_disk_budget_is_503_before_and_during_an_upload(
    start_gateway: StartGateway, broker: NatsServer, bus: Bus
) -> None:
    async with start_gateway() as gateway:
        info = await bus.jetstream.stream_info(Stream.UP)
        info.config.max_bytes = 1_000
        await bus.jetstream.update_stream(info.config)
        refused = await gateway.json("POST", "/v1/jobs", 503, data=form(b"x" * 2000, name="x"))
        assert refused["error"]["code"] == "storage_full"
        assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []
    info.config.max_bytes = 2_000
    await bus.jetstream.update_stream(info.config)
    await bus.create(topology.part("other-0", 0), b"x" * 1700)
    async with (
        start_gateway() as gateway,
        gateway.request("POST", "/v1/jobs", data=form(b"x", name="x")) as answer,
    ):
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


async def test_uploads_over_the_limit_get_429(start_gateway: StartGateway) -> None:
    async with start_gateway(max_uploads=0) as gateway:
        refused = await gateway.json("POST", "/v1/jobs", 429, data=form(b"x", name="x"))
        assert refused["error"]["code"] == "too_many_uploads"


async def test_bytes_that_nobody_can_use_are_counted_but_not_stored(gateway: Gateway, bus: Bus) -> None:
    """A job that failed early keeps its client's upload answered, not its bytes."""
    has_failed = asyncio.Event()

    async def steadily() -> AsyncIterator[bytes]:
        yield b"a" * PART_BYTES
        await has_failed.wait()
        for _ in range(15):
            yield b"b" * PART_BYTES
            await asyncio.sleep(0.1)  # the pace of a network

    key = str(uuid.uuid4())
    job, options = job_id("ann", key), {"headers": {"Idempotency-Key": key}}
    sending = gateway.json("POST", "/v1/jobs", 201, data=form(steadily(), name="x"), **options)
    uploading = asyncio.create_task(sending)
    record = await until(lambda: record_of(bus, "ann", job))
    assert record is not None
    await gateway.app[JOBS].change(record, lambda old: msgspec.structs.replace(old, state=JobState.FAILED))
    has_failed.set()
    answer = await uploading
    assert (answer["status"], answer["upload"]["bytes"]) == ("failed", PART_BYTES * 16)
    data, end = await parts_of(bus, run_id(job, 0))
    assert len(data) < PART_BYTES * 16
    assert end is not None
    assert end.bytes == PART_BYTES * 16


async def test_a_stopping_gateway_interrupts_what_does_not_end_in_time(
    start_gateway: StartGateway, bus: Bus
) -> None:
    async def hang() -> AsyncIterator[bytes]:
        yield b"a" * PART_BYTES
        await asyncio.Event().wait()

    key = str(uuid.uuid4())
    job, options = job_id("ann", key), {"headers": {"Idempotency-Key": key}}
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(start_gateway(drain_seconds=1.0))
        sending = gateway.json("POST", "/v1/jobs", 408, data=form(hang(), name="x"), **options)
        uploading = asyncio.create_task(sending)
        await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 0)))
        stopping = asyncio.create_task(stack.pop_all().aclose())
        answer = await uploading
        assert "restarting" in answer["error"]["message"]
        await stopping
    record = await record_of(bus, "ann", job)
    assert record is not None
    assert record.upload is UploadState.INTERRUPTED


async def test_an_upload_survives_a_killed_broker(gateway: Gateway, broker: NatsServer, bus: Bus) -> None:
    killed = asyncio.Event()
    blocks = [os.urandom(PART_BYTES) for _ in range(4)]

    async def across() -> AsyncIterator[bytes]:
        for block in blocks[:2]:
            yield block
        await killed.wait()
        for block in blocks[2:]:
            yield block

    key = str(uuid.uuid4())
    job, options = job_id("ann", key), {"headers": {"Idempotency-Key": key}}
    sending = gateway.json("POST", "/v1/jobs", 201, data=form(across(), name="x"), **options)
    uploading = asyncio.create_task(sending)
    await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 0)))
    await broker.kill()
    killed.set()
    await broker.start()
    assert (await uploading)["upload"]["state"] == "stored"
    data, end = await parts_of(bus, run_id(job, 0))
    assert data == b"".join(blocks)
    assert end == EndOfUpload(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
