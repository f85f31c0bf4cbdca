"""Cancelling: a job ends where it stands, with its text, whoever had it in hand and whoever dies."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.channels import Channels
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobRecord,
    JobState,
    StartJob,
)
from services.contracts.topology import Stream
from services.gateway.janitor import Janitor
from services.gateway.jobs import Jobs
from services.gateway.settings import Settings
from tests.gateways import Gateway, cut, ended, gap, publish, record_of, text, upload
from tests.pipeline import OWNER, Pipeline, make_chunker, worker


async def cancel(gateway: Gateway, job: str, status: int = 202, **options: Any) -> dict[str, Any]:
    return await gateway.json("POST", f"/v1/jobs/{job}/cancel", status, **{"user": "tester", **options})


async def of(pipeline: Pipeline, job: str, kind: type) -> list[Any]:
    return [event for event in await pipeline.events(job) if isinstance(event, kind)]


async def work_left(bus: Bus) -> dict[str, int]:
    return {**await bus.subjects(Stream.CTL, ">"), **await bus.subjects(Stream.CHUNK, ">")}


async def under_way(pipeline: Pipeline, talk: bytes, **options: Any) -> str:
    """A job with some text, and more at the endpoint."""
    pipeline.endpoint.seconds = 0.3
    job = await pipeline.start_job("long", **options)
    await pipeline.upload(job, talk)

    async def has_text() -> bool:
        return bool(await of(pipeline, job, ChunkTranscribed))

    await pipeline.until(has_text)
    pipeline.endpoint.seconds = 2.0
    return job


async def check_ended(pipeline: Pipeline, job: str) -> list[ChunkTranscribed]:
    """It has one end, text or gap for every cut, and nothing in any queue."""

    async def over() -> bool:
        return bool(await of(pipeline, job, JobEnded)) and not await work_left(pipeline.bus)

    await pipeline.until(over)
    [end] = await of(pipeline, job, JobEnded)
    cuts, texts, gaps = [await of(pipeline, job, kind) for kind in (ChunkCut, ChunkTranscribed, ChunkFailed)]
    assert (end.state, end.chunks, end.duration) == (
        JobState.CANCELLED,
        len(cuts),
        max(one.end for one in cuts),
    )
    assert {one.chunk for one in texts} ^ {one.chunk for one in gaps} == {one.chunk for one in cuts}
    assert {one.problem.code for one in gaps} <= {"cancelled"}
    assert {(one.chunk, one.channel) for one in gaps} <= {(one.chunk, one.channel) for one in cuts}
    assert "owner" in end.problem.message, "it says who cancelled it"
    assert (await pipeline.record(job)).problem == end.problem
    assert (await pipeline.events(job))[-1] == end
    return texts


async def test_a_running_job_ends_with_the_text_it_has(
    pipeline: Pipeline, gateway: Gateway, talk: bytes
) -> None:
    job = await under_way(pipeline, talk)
    shown = await cancel(gateway, job)
    assert (shown["status"], shown["error"]["code"]) == ("cancelled", "cancelled")
    calls = pipeline.endpoint.calls

    texts = await check_ended(pipeline, job)
    assert pipeline.endpoint.calls == calls, "nothing is sent to the endpoint any more"
    transcript = await gateway.json("GET", f"/v1/jobs/{job}/transcript", user="tester")
    assert transcript["status"] == "cancelled"
    assert transcript["text"] == " ".join(one.text for one in sorted(texts, key=lambda one: one.chunk))
    assert (await cancel(gateway, job))["status"] == "cancelled"  # the first answer may have been lost
    refused = await gateway.json("POST", f"/v1/jobs/{job}/retry", 409, user="tester")
    assert refused["error"]["code"] == "job_cancelled"


async def test_a_job_whose_chunker_died_is_ended_by_the_next(
    pipeline: Pipeline, gateway: Gateway, talk: bytes, tmp_path: Path
) -> None:
    job = await under_way(pipeline, talk, channels=Channels.SPLIT)
    pipeline.chunker.cancel()
    await asyncio.gather(pipeline.chunker, return_exceptions=True)
    await cancel(gateway, job)
    assert await of(pipeline, job, JobEnded) == []
    janitor = Janitor(pipeline.bus, Jobs(pipeline.bus), Settings(janitor_seconds=0.0))
    await janitor.round()  # which takes work of jobs that are over out of the queues, but not this
    async with worker(make_chunker(pipeline.bus, tmp_path).run):
        await check_ended(pipeline, job)


async def test_a_command_that_comes_again_changes_nothing(
    pipeline: Pipeline, gateway: Gateway, talk: bytes
) -> None:
    job = await under_way(pipeline, talk)
    await cancel(gateway, job)
    await check_ended(pipeline, job)
    record, events = await pipeline.record(job), await pipeline.events(job)
    await Jobs(pipeline.bus).start(record)

    async def taken() -> bool:
        return not await work_left(pipeline.bus)

    await pipeline.until(taken)
    assert (await pipeline.record(job), await pipeline.events(job)) == (record, events)


async def test_an_end_that_was_stored_before_counts(
    pipeline: Pipeline, gateway: Gateway, talk: bytes
) -> None:
    """The record learns of the end last; whoever cancels in between comes too late."""
    job = await under_way(pipeline, talk)
    await pipeline.until_final(job)
    done = await pipeline.record(job)
    command = StartJob(owner=OWNER, job=job, run=0)
    cancelled = msgspec.structs.replace(done, state=JobState.CANCELLED)
    assert await Jobs(pipeline.bus).replace(done, cancelled)
    subject = topology.control("short", OWNER, run_id(job, 0), 0)
    await pipeline.bus.create(subject, msgspec.json.encode(command))

    async def corrected() -> bool:
        return (await pipeline.record(job)).state is JobState.COMPLETED

    await pipeline.until(corrected)


async def test_a_waiting_job_ends_at_once(gateway: Gateway, bus: Bus) -> None:
    """No chunker runs here."""
    job = str((await upload(gateway))["id"])
    await cancel(gateway, job, user="ann")
    assert await work_left(bus) == {}
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer:
        events = [line for line in (await answer.text()).splitlines() if line.startswith("event: ")]
    assert events == ["event: job", "event: end"]
    listed = (await gateway.json("GET", "/v1/jobs"))["jobs"]
    assert [one["status"] for one in listed] == ["cancelled"]


async def test_how_long_a_job_is_that_never_began_is_unknown(gateway: Gateway) -> None:
    job = await upload(gateway)
    await gateway.json("POST", f"/v1/jobs/{job['id']}/cancel", 202)
    assert (await gateway.json("GET", f"/v1/jobs/{job['id']}"))["duration"] is None


async def test_a_cancelled_retry_leaves_what_there_was_and_may_be_begun_again(
    gateway: Gateway, bus: Bus
) -> None:
    job = str((await upload(gateway))["id"])
    for event in (cut(0), cut(1), text(0, "one"), gap(1), ended(2)):
        await publish(bus, run_id(job, 0), event)
    assert (await cancel(gateway, job, 409, user="ann"))["error"]["code"] == "job_ended"
    await gateway.json("POST", f"/v1/jobs/{job}/retry", 202)

    await cancel(gateway, job, user="ann")

    shown = await gateway.json("GET", f"/v1/jobs/{job}")
    assert (shown["status"], shown["attempt"], shown["duration"]) == ("cancelled", 1, 40.0)
    transcript = await gateway.json("GET", f"/v1/jobs/{job}/transcript")
    assert (transcript["text"], len(transcript["gaps"])) == ("one", 1)
    begun = await gateway.json("POST", f"/v1/jobs/{job}/retry", 202)
    assert (begun["status"], begun["attempt"]) == ("running", 2)


async def test_what_cannot_be_cancelled_is_refused(gateway: Gateway, bus: Bus) -> None:
    await cancel(gateway, job_id("ann", "never"), 404, user="ann")
    job = str((await upload(gateway))["id"])
    await cancel(gateway, job, 404, user="bob")
    async with gateway.request("DELETE", f"/v1/jobs/{job}") as answer:
        assert answer.status == 204
    await cancel(gateway, job, 404, user="ann")
    record = await record_of(bus, "ann", job)
    assert isinstance(record, JobRecord)
    assert record.deleted
    assert await bus.subjects(Stream.USAGE, topology.usage(owner_token("ann"), "*")) == {}
