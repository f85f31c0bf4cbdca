"""Gaps are filled by real chunkers and transcribers, whatever breaks on the way."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.contracts import attempts, topology
from services.contracts.identifiers import run_id
from services.contracts.messages import ChunkCut, ChunkFailed, ChunkTranscribed, JobEnded, JobRecord, JobState
from services.contracts.topology import Stream
from services.dev.sagemaker_runtime import refusal
from services.gateway.jobs import Jobs
from tests.gateways import Gateway
from tests.pipeline import Pipeline, make_chunker, worker

GAPS = 2


@pytest.fixture
async def job(pipeline: Pipeline, talk: bytes) -> str:
    """A job that has ended with two gaps; from now on the endpoint works."""
    pipeline.endpoint.failing = lambda call: (
        refusal("ModelError", 424, "bad", original=400, said=b"bad audio") if call < GAPS else None
    )
    job = await pipeline.start_job("gaps")
    await pipeline.upload(job, talk)
    record = await pipeline.until_final(job)
    assert (record.state, record.attempt) == (JobState.COMPLETED, 0)
    assert len(await kinds(pipeline, job, ChunkFailed)) == GAPS
    return job


async def kinds(pipeline: Pipeline, job: str, *wanted: type) -> list[Any]:
    return [event for event in await pipeline.events(job) if isinstance(event, wanted)]


async def retry(gateway: Gateway, job: str, status: int = 202) -> dict[str, Any]:
    return await gateway.json("POST", f"/v1/jobs/{job}/retry", status, user="tester")


async def check_whole(pipeline: Pipeline, job: str, *, attempt: int = 1) -> None:
    """Every cut has one text, and the last attempt has one end."""
    texts = Counter(event.chunk for event in await kinds(pipeline, job, ChunkTranscribed))
    assert texts == Counter(event.chunk for event in await kinds(pipeline, job, ChunkCut))
    ends = await kinds(pipeline, job, JobEnded)
    assert [end.attempt for end in ends] == list(range(attempt + 1))
    for end in ends[1:]:
        assert end == msgspec.structs.replace(ends[0], attempt=end.attempt)


async def test_only_what_has_no_text_is_sent_again(pipeline: Pipeline, gateway: Gateway, job: str) -> None:
    calls = pipeline.endpoint.calls
    before = await kinds(pipeline, job, ChunkTranscribed)
    assert (await retry(gateway, job))["status"] == "running"

    record = await pipeline.until_final(job)

    assert (record.state, record.attempt, record.problem) == (JobState.COMPLETED, 1, None)
    assert pipeline.endpoint.calls == calls + GAPS
    assert (await kinds(pipeline, job, ChunkTranscribed))[: len(before)] == before
    await check_whole(pipeline, job)
    transcript = await gateway.json("GET", f"/v1/jobs/{job}/transcript", user="tester")
    starts = [segment["start"] for segment in transcript["segments"]]
    assert (transcript["gaps"], starts) == ([], sorted(starts))
    assert (await retry(gateway, job, 409))["error"]["code"] == "no_gaps"


async def test_a_gap_that_fails_again_stays_one_and_may_be_tried_again(
    pipeline: Pipeline, gateway: Gateway, job: str
) -> None:
    first = pipeline.endpoint.calls
    pipeline.endpoint.failing = lambda call: (
        refusal("ModelError", 424, "bad", original=400, said=b"bad audio") if call == first else None
    )
    await retry(gateway, job)
    assert (await pipeline.until_final(job)).state is JobState.COMPLETED
    shown = await gateway.json("GET", f"/v1/jobs/{job}", user="tester")
    assert (shown["progress"]["gaps"], shown["progress"]["percent"]) == (1, 100)

    await retry(gateway, job)
    assert (await pipeline.until_final(job)).attempt == 2
    await check_whole(pipeline, job, attempt=2)


async def test_another_chunker_goes_on_with_a_retry_whose_chunker_is_gone(
    pipeline: Pipeline, gateway: Gateway, job: str, tmp_path: Path
) -> None:
    pipeline.endpoint.seconds = 1.0
    await retry(gateway, job)

    async def in_flight() -> bool:
        return pipeline.endpoint.running > 0

    await pipeline.until(in_flight)
    pipeline.chunker.cancel()
    await asyncio.gather(pipeline.chunker, return_exceptions=True)
    async with worker(make_chunker(pipeline.bus, tmp_path).run):
        await pipeline.until_final(job)
    await check_whole(pipeline, job)


async def test_a_gateway_that_dies_between_command_and_record_promised_nothing(
    pipeline: Pipeline, gateway: Gateway, job: str
) -> None:
    record = await pipeline.record(job)
    await Jobs(pipeline.bus).start(attempts.retried(record))  # and here it dies
    assert await pipeline.record(job) == record

    await retry(gateway, job)  # the user asks again, while a chunker still waits for the record
    await pipeline.until_final(job)
    await check_whole(pipeline, job)


async def test_a_command_that_comes_again_after_its_attempt_changes_nothing(
    pipeline: Pipeline, gateway: Gateway, job: str
) -> None:
    """Acknowledgements get lost when the broker is killed."""
    old = await pipeline.record(job)
    await retry(gateway, job)
    await pipeline.until_final(job)
    record, events = await pipeline.record(job), await pipeline.events(job)
    for one in (old, record):
        await Jobs(pipeline.bus).start(one)

    async def taken() -> bool:
        return not await pipeline.bus.subjects(Stream.CTL, "ctl.>")

    await pipeline.until(taken)
    assert (await pipeline.record(job), await pipeline.events(job)) == (record, events)


async def test_a_recording_erased_in_the_meantime_keeps_its_text(pipeline: Pipeline, job: str) -> None:
    """The janitor and the stream's own age limit may be faster than the chunker."""
    before = await pipeline.record(job)
    await pipeline.bus.purge(Stream.UP, topology.part(run_id(job, 0)))
    assert await Jobs(pipeline.bus).retry(before, before.duration)

    record = await pipeline.until_final(job)

    assert (record.state, record.attempt, record.duration) == (JobState.COMPLETED, 1, before.duration)
    assert record.problem is not None
    assert record.problem.code == "audio_expired"
    assert await pipeline.bus.subjects(Stream.UP, topology.part(run_id(job, 0))) == {}


async def test_deleting_a_job_whose_gaps_are_filled_leaves_nothing(
    pipeline: Pipeline, gateway: Gateway, job: str
) -> None:
    pipeline.endpoint.seconds = 1.0
    await retry(gateway, job)

    async def in_flight() -> bool:
        return pipeline.endpoint.running > 0

    await pipeline.until(in_flight)
    async with gateway.request("DELETE", f"/v1/jobs/{job}", user="tester") as answer:
        assert answer.status == 204

    async def empty() -> bool:
        left = [
            await pipeline.bus.subjects(stream, subjects)
            for stream, subjects in (
                (Stream.CTL, "ctl.>"),
                (Stream.CHUNK, "chunk.>"),
                (Stream.UP, "up.>"),
                (Stream.RES, "res.>"),
            )
        ]
        return not any(left) and not pipeline.endpoint.running

    await pipeline.until(empty)
    record: JobRecord = await pipeline.record(job)
    assert record.deleted
