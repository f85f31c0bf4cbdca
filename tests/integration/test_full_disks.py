"""Disk budgets that are used up: what runs waits and loses nothing, what is new is told so."""

import dataclasses
import uuid
from collections import Counter

import pytest
from prometheus_client import REGISTRY

from services.common.bus import Bus
from services.contracts.messages import ChunkCut, ChunkTranscribed, JobState
from services.contracts.topology import GIB, Stream
from tests.gateways import Gateway, form, until, upload
from tests.pipeline import Pipeline

CHUNK_BYTES = 700_000
"""Room for one chunk of up to 30 s, and not for two."""


async def budget(bus: Bus, stream: Stream, max_bytes: int) -> None:
    """Change a stream's disk budget, as provisioning it again would."""
    info = await bus.jetstream.stream_info(stream)
    await bus.jetstream.update_stream(dataclasses.replace(info.config, max_bytes=max_bytes))


def waits() -> float:
    return REGISTRY.get_sample_value("whisper_room_waits_total") or 0.0


async def _waited(pipeline: Pipeline, times: int) -> None:
    """Come back when somebody has waited for room so often from now on."""
    until = waits() + times

    async def enough() -> bool:
        return waits() >= until

    await pipeline.until(enough)


async def _check_whole(pipeline: Pipeline, job: str) -> None:
    """The job ends well, and each chunk was asked for once and has one text."""
    assert (await pipeline.until_final(job)).state is JobState.COMPLETED
    events = await pipeline.events(job)
    cuts = [event.chunk for event in events if isinstance(event, ChunkCut)]
    assert Counter(event.chunk for event in events if isinstance(event, ChunkTranscribed)) == Counter(cuts)
    assert pipeline.endpoint.calls == len(cuts)


@pytest.mark.parametrize("room", [700, 2000])
async def test_what_finds_no_room_among_the_results_waits_for_it(
    pipeline: Pipeline, talk: bytes, room: int
) -> None:
    """Cuts, texts and the end: each is made once, however long it waits."""
    await budget(pipeline.bus, Stream.RES, room)
    job = await pipeline.start_job("results")
    await pipeline.upload(job, talk)
    await _waited(pipeline, 4)
    assert not (await pipeline.record(job)).state.final

    await budget(pipeline.bus, Stream.RES, GIB)

    await _check_whole(pipeline, job)


async def test_a_queue_without_room_makes_chunkers_wait(pipeline: Pipeline, talk: bytes) -> None:
    await budget(pipeline.bus, Stream.CHUNK, CHUNK_BYTES)
    pipeline.endpoint.seconds = 1.0
    job = await pipeline.start_job("chunks")
    before = waits()
    await pipeline.upload(job, talk)
    await _check_whole(pipeline, job)
    assert waits() > before


@pytest.mark.parametrize(
    ("stream", "what"),
    [(Stream.RES, "transcripts"), (Stream.JOB, "records of jobs"), (Stream.CTL, "waiting jobs")],
)
async def test_new_uploads_are_refused_before_a_budget_is_full(
    gateway: Gateway, bus: Bus, stream: Stream, what: str
) -> None:
    subject = {Stream.RES: "res.x-0.cut.0", Stream.JOB: "$KV.JOB.x.y", Stream.CTL: "ctl.x"}[stream]
    await bus.create(subject, b"{}" + b" " * 1000)
    await budget(bus, stream, 1200)
    key = str(uuid.uuid4())
    refused = await gateway.json("POST", "/v1/jobs", 503, data=form(b"x"), headers={"Idempotency-Key": key})
    assert refused["error"]["code"] == "storage_full"
    assert what in refused["error"]["message"]
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []
    shown = [
        REGISTRY.get_sample_value(name, {"stream": stream})
        for name in ("whisper_stream_bytes", "whisper_stream_limit_bytes")
    ]
    assert shown == [(await bus.state(stream)).bytes, 1200]


async def test_a_job_can_be_deleted_where_no_record_finds_room(gateway: Gateway, bus: Bus) -> None:
    job = await upload(gateway)
    info = await bus.jetstream.stream_info(Stream.JOB)
    await budget(bus, Stream.JOB, info.state.bytes)
    await gateway.json("POST", "/v1/jobs", 503, data=form(b"x"))

    async with gateway.request("DELETE", f"/v1/jobs/{job['id']}") as answer:
        assert answer.status == 204, await answer.text()


async def test_an_upload_that_finds_no_room_at_all_leaves_nothing(gateway: Gateway, bus: Bus) -> None:
    await bus.create("up.other-0.0", b"x" * 1500)
    await budget(bus, Stream.UP, 2500)
    headers = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "audio/mpeg"}
    await gateway.json("POST", "/v1/jobs", 503, data=b"x" * 2000, headers=headers)
    assert (await gateway.json("GET", "/v1/jobs"))["jobs"] == []
    assert await bus.subjects(Stream.CTL, ">") == {}

    await budget(bus, Stream.UP, GIB)

    async def taken() -> bool:
        async with gateway.request("POST", "/v1/jobs", data=b"x" * 2000, headers=headers) as answer:
            return answer.status == 201

    await until(taken)  # the budget that the gateway knows is a few seconds old
    [job] = (await gateway.json("GET", "/v1/jobs"))["jobs"]
    assert job["upload"]["state"] == "stored"
