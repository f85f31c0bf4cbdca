"""Chunker and transcriber against real NATS, ffmpeg and aiobotocore; the endpoint is a stand-in over HTTP."""

import dataclasses
import io
import wave
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import (
    HEADER,
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    EndOfUpload,
    JobEnded,
    JobState,
    UploadState,
)
from services.contracts.topology import Stream
from services.dev.sagemaker_runtime import refusal
from tests.pipeline import OWNER, Pipeline


async def test_a_recording_ends_with_a_text_for_every_cut(pipeline: Pipeline, talk: bytes) -> None:
    job = await pipeline.start_job("whole")
    await pipeline.upload(job, talk)

    record = await pipeline.until_final(job)

    events = await pipeline.events(job)
    cuts = [event.chunk for event in events if isinstance(event, ChunkCut)]
    texts = [event.chunk for event in events if isinstance(event, ChunkTranscribed)]
    assert record.state is JobState.COMPLETED
    assert (record.upload, record.upload_bytes) == (UploadState.STORED, len(talk))
    assert cuts == list(range(len(cuts)))
    assert sorted(texts) == cuts
    assert len(cuts) >= 4
    assert isinstance(events[-1], JobEnded)
    assert events[-1].chunks == len(cuts)


async def test_the_first_text_comes_before_the_upload_has_ended(pipeline: Pipeline, talk: bytes) -> None:
    job = await pipeline.start_job("early")
    parts = await pipeline.upload(job, talk, end=False)

    async def has_text() -> bool:
        return any(isinstance(event, ChunkTranscribed) for event in await pipeline.events(job))

    await pipeline.until(has_text)
    assert (await pipeline.record(job)).upload is UploadState.RECEIVING

    last = EndOfUpload(bytes=len(talk), sha256="x")
    await pipeline.bus.create(
        topology.part(run_id(job, 0), parts), b"", {HEADER: msgspec.json.encode(last).decode()}
    )
    assert (await pipeline.until_final(job)).state is JobState.COMPLETED


async def test_an_abandoned_upload_keeps_the_text_of_what_arrived(pipeline: Pipeline, talk: bytes) -> None:
    job = await pipeline.start_job("abandoned")
    await pipeline.upload(job, talk[: len(talk) // 2], end=False)

    record = await pipeline.until_final(job)

    assert (record.state, record.upload) == (JobState.INTERRUPTED, UploadState.INTERRUPTED)
    assert record.upload_bytes == len(talk) // 2
    assert record.problem is not None
    assert any(isinstance(event, ChunkTranscribed) for event in await pipeline.events(job))


async def test_an_abandoned_upload_ends_even_without_room_to_say_so(pipeline: Pipeline, talk: bytes) -> None:
    job = await pipeline.start_job("full")
    await pipeline.upload(job, talk[: len(talk) // 2], end=False)
    info = await pipeline.bus.jetstream.stream_info(Stream.UP)
    full = dataclasses.replace(info.config, max_bytes=info.state.bytes)
    await pipeline.bus.jetstream.update_stream(full)

    record = await pipeline.until_final(job)

    assert (record.state, record.upload) == (JobState.INTERRUPTED, UploadState.INTERRUPTED)
    assert any(isinstance(event, ChunkTranscribed) for event in await pipeline.events(job))


async def test_what_is_no_recording_fails_with_a_sentence(pipeline: Pipeline) -> None:
    job = await pipeline.start_job("garbage")
    await pipeline.upload(job, b"this is no sound at all\n" * 500)

    record = await pipeline.until_final(job)

    assert record.state is JobState.FAILED
    assert record.problem is not None
    assert "recording" in record.problem.message


async def test_a_recording_without_speech_says_so(pipeline: Pipeline) -> None:
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16_000 * 20))
    job = await pipeline.start_job("silence")
    await pipeline.upload(job, silence.getvalue())

    record = await pipeline.until_final(job)

    assert record.state is JobState.COMPLETED
    assert record.problem is not None
    assert record.problem.code == "no_speech"
    [end] = await pipeline.events(job)
    assert isinstance(end, JobEnded)
    assert [(gap.start, gap.end) for gap in end.skipped] == [(0, 16_000 * 20)]


async def test_a_chunk_the_container_rejects_becomes_a_gap(pipeline: Pipeline, talk: bytes) -> None:
    pipeline.endpoint.failing = lambda call: (
        refusal("ModelError", 424, "bad", original=400, said=b"bad audio") if call == 0 else None
    )
    job = await pipeline.start_job("gap")
    await pipeline.upload(job, talk)

    record = await pipeline.until_final(job)

    gaps = [event for event in await pipeline.events(job) if isinstance(event, ChunkFailed)]
    assert record.state is JobState.COMPLETED
    assert [gap.problem.code for gap in gaps] == ["audio_rejected"]


@pytest.mark.parametrize(
    ("error", "status", "original"),
    [
        ("ThrottlingException", 400, None),
        ("ModelNotReadyException", 429, None),
        ("ServiceUnavailable", 503, None),
        ("ModelError", 424, 429),
        ("ModelError", 424, 500),
    ],
)
async def test_a_passing_refusal_costs_no_text(
    pipeline: Pipeline, talk: bytes, error: str, status: int, original: int | None
) -> None:
    pipeline.endpoint.failing = lambda call: (
        refusal(error, status, "later", original=original, said=b"") if call < 1 else None
    )
    job = await pipeline.start_job(f"passing-{error}-{original}")
    await pipeline.upload(job, talk)

    assert (await pipeline.until_final(job)).state is JobState.COMPLETED
    events = await pipeline.events(job)
    assert not [event for event in events if isinstance(event, ChunkFailed)]


async def test_nonsense_from_the_endpoint_becomes_a_gap_after_three_tries(
    pipeline: Pipeline, talk: bytes
) -> None:
    pipeline.endpoint.failing = lambda _call: web.Response(body=b"<html>hello</html>")
    job = await pipeline.start_job("nonsense")
    await pipeline.upload(job, talk)

    record = await pipeline.until_final(job)

    events = await pipeline.events(job)
    gaps = [event for event in events if isinstance(event, ChunkFailed)]
    cuts = [event for event in events if isinstance(event, ChunkCut)]
    assert record.state is JobState.COMPLETED
    assert len(gaps) == len(cuts)
    assert {gap.problem.code for gap in gaps} == {"model_failed"}


async def test_a_deleted_job_leaves_no_results_behind(pipeline: Pipeline, talk: bytes) -> None:
    pipeline.endpoint.seconds = 1.0
    job = await pipeline.start_job("deleted")
    await pipeline.upload(job, talk)

    async def in_flight() -> bool:
        return pipeline.endpoint.running > 0

    await pipeline.until(in_flight)
    await pipeline.jobs.change(
        topology.job_record(OWNER, job),
        lambda old: msgspec.structs.replace(old, deleted=True, state=JobState.CANCELLED),
    )
    await pipeline.bus.purge(Stream.RES, topology.results(run_id(job, 0)))
    await pipeline.bus.purge(Stream.CHUNK, topology.chunk("*", OWNER, run_id(job, 0)))

    async def settled() -> bool:
        queued = await pipeline.bus.subjects(Stream.CTL, "ctl.>")
        chunks = await pipeline.bus.subjects(Stream.CHUNK, "chunk.>")
        left = await pipeline.bus.subjects(Stream.RES, topology.results(run_id(job, 0)))
        return not queued and not chunks and not left and not pipeline.endpoint.running

    await pipeline.until(settled)
    assert pipeline.endpoint.finished <= 4  # what was in flight; nothing more was started


async def test_a_second_chunker_follows_the_cuts_of_the_first(
    pipeline: Pipeline, talk: bytes, tmp_path: Path
) -> None:
    job = await pipeline.start_job("followed")
    planned = ChunkCut(chunk=0, start=0, end=16_000 * 12)
    await pipeline.bus.create(topology.cut(run_id(job, 0), 0), msgspec.json.encode(planned))
    await pipeline.upload(job, talk)

    assert (await pipeline.until_final(job)).state is JobState.COMPLETED

    cuts = {event.chunk: event for event in await pipeline.events(job) if isinstance(event, ChunkCut)}
    texts = {
        event.chunk: event for event in await pipeline.events(job) if isinstance(event, ChunkTranscribed)
    }
    assert (texts[0].start, texts[0].end) == (0, 16_000 * 12)
    assert cuts[1].start >= 16_000 * 12
