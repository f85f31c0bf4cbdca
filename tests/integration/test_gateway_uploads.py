"""Uploads: into the stream while they arrive, safe to repeat, and ended well whatever breaks."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import (
    HEADER,
    EndOfUpload,
    JobState,
    Problem,
    StartJob,
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
    assert (job["name"], job["options"]["task"]) == ("talk.mp3", "translate")
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
    assert first.data == b"a" * PART_BYTES
    second = await until(lambda: bus.last(Stream.UP, topology.part(run_id(job, 0), 1)))
    assert second.data == b"b" * 10
    shown = await gateway.json("GET", f"/v1/jobs/{job}")
    assert shown["upload"]["state"] == "receiving"
    listed = await gateway.json("GET", f"/v1/jobs?idempotency_key={key}")
    assert [one["id"] for one in listed["jobs"]] == [job]
    busy = await gateway.json("POST", "/v1/jobs", 409, data=form(b"x", name="x"), **options)
    assert busy["error"]["code"] == "upload_in_progress"
    go_on.set()
    assert (await uploading)["id"] == job


async def test_options_after_the_file_count_and_start_the_job(gateway: Gateway, bus: Bus) -> None:
    job = await gateway.json(
        "POST", "/v1/jobs", 201, data=form(b"sound", after={"language": "zh", "name": "late"})
    )
    assert (job["name"], job["options"]["language"]) == ("late", "zh")
    control = topology.control("short", owner_token("ann"), run_id(str(job["id"]), 0))
    assert await bus.last(Stream.CTL, control) is not None


async def test_a_wrong_option_after_the_file_leaves_no_job(gateway: Gateway) -> None:
    refused = await gateway.json("POST", "/v1/jobs", 400, data=form(b"sound", after={"language": "klingon"}))
    assert refused["error"]["code"] == "invalid_option"
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


async def test_fields_on_both_sides_of_the_file_are_refused(gateway: Gateway) -> None:
    refused = await gateway.json("POST", "/v1/jobs", 400, data=form(b"x", name="a", after={"language": "en"}))
    assert "before" in refused["error"]["message"]


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
    assert (refused["error"]["code"], refused["error"]["field"]) == (code, field)


async def test_5001_hotwords_are_refused_and_5000_taken(gateway: Gateway) -> None:
    words = [f"word{number}" for number in range(5001)]
    refused = await gateway.json("POST", "/v1/jobs", 400, data=form(b"x", hotwords=json.dumps(words)))
    assert refused["error"]["code"] == "invalid_hotwords"
    assert "5001" in refused["error"]["message"]
    job = await gateway.json("POST", "/v1/jobs", 201, data=form(b"x", hotwords=json.dumps(words[:5000])))
    assert len(job["options"]["hotwords"]["words"]) == 5000


async def test_an_empty_recording_is_refused_and_leaves_no_job(gateway: Gateway) -> None:
    for data in (form(b"", name="x"), form(b"")):
        refused = await gateway.json("POST", "/v1/jobs", 400, data=data)
        assert refused["error"]["code"] == "empty_file"
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []


async def test_another_media_type_is_refused(gateway: Gateway) -> None:
    refused = await gateway.json("POST", "/v1/jobs", 415, data="text", headers={"Content-Type": "text/plain"})
    assert refused["error"]["code"] == "unsupported_media_type"


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
        assert refused["error"]["code"] == "different_content"
    other_user = await gateway.json(
        "POST", "/v1/jobs", 201, data=form(b"noise", name="x"), user="bob", **options
    )
    assert other_user["id"] != first["id"]


async def test_a_key_must_be_a_uuid(gateway: Gateway) -> None:
    refused = await gateway.json(
        "POST", "/v1/jobs", 400, data=form(b"x", name="x"), headers={"Idempotency-Key": "again"}
    )
    assert refused["error"]["field"] == "Idempotency-Key"


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
