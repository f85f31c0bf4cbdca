"""Uploads: into the stream while they arrive, safe to repeat, refused with a word on what is wrong."""

import asyncio
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
    EndOfUpload,
    StartJob,
)
from services.contracts.topology import PART_BYTES, Stream
from tests.gateways import (
    Gateway,
    form,
    parts_of,
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
    command = await bus.last(
        Stream.CTL, topology.waiting("short", owner_token("ann"), run_id(job["id"], 0), 0)
    )
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
    command = topology.waiting("short", owner_token("ann"), run_id(str(job["id"]), 0), 0)
    assert await bus.last(Stream.CTL, command) is not None


@pytest.mark.parametrize("after", [True, False])
async def test_bulk_work_waits_in_a_lane_of_its_own(gateway: Gateway, bus: Bus, after: bool) -> None:
    low = {"priority": "low"}
    data = form(b"sound", after=low) if after else form(b"sound", priority="low")
    job = await gateway.json("POST", "/v1/jobs", 201, data=data)
    assert job["options"]["priority"] == "low"
    command = topology.waiting("low", owner_token("ann"), run_id(str(job["id"]), 0), 0)
    assert await bus.last(Stream.CTL, command) is not None


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
