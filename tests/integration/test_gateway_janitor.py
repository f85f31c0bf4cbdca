"""The janitor: erases what is due, erases again what came back, picks up what fell."""

import hashlib
import time
import uuid
from typing import Any

import msgspec
import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import (
    HEADER,
    EndOfUpload,
    JobOptions,
    JobRecord,
    JobState,
    Lane,
    StartJob,
    UploadState,
)
from services.contracts.topology import Stream
from services.gateway.janitor import Janitor
from services.gateway.jobs import Jobs
from services.gateway.remembered import Remembered
from services.gateway.settings import Settings
from tests.gateways import Gateway, ended, form, publish, record_of, text


@pytest.fixture
def jobs(bus: Bus) -> Jobs:
    return Jobs(bus)


def janitor(bus: Bus, jobs: Jobs, **settings: float) -> Janitor:
    return Janitor(bus, jobs, Settings(**settings))  # type: ignore[arg-type]


async def stored_job(bus: Bus, jobs: Jobs, *, key: str = "", **facts: Any) -> JobRecord:
    """A job of ann's with one part, its command and a text."""
    record = JobRecord(
        id=job_id("ann", key or str(uuid.uuid4())),
        owner=owner_token("ann"),
        user="ann",
        session="s",
        name="talk.mp3",
        options=JobOptions(),
        created_at=time.time(),
        lane=Lane.SHORT,
        **facts,
    )
    run = run_id(record.id, 0)
    end = EndOfUpload(bytes=5, sha256=hashlib.sha256(b"sound").hexdigest())
    await jobs.start(record)
    await jobs.create(record)
    await bus.create(topology.part(run, 0), b"sound", {HEADER: msgspec.json.encode(end).decode()})
    await publish(bus, run, text(0, "words"))
    return record


async def leftovers(bus: Bus, record: JobRecord) -> dict[str, int]:
    run = run_id(record.id, 0)
    return {
        **await bus.subjects(Stream.UP, topology.part(run)),
        **await bus.subjects(Stream.RES, topology.results(run)),
        **await bus.subjects(Stream.CTL, topology.work("*", record.owner, run)),
    }


async def test_audio_goes_when_its_time_is_over_and_the_text_stays(bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(
        bus, jobs, upload=UploadState.STORED, state=JobState.COMPLETED, ended_at=time.time()
    )
    running = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.RUNNING)

    await janitor(bus, jobs).round()
    assert topology.part(run_id(record.id, 0), 0) in await leftovers(bus, record)
    await janitor(bus, jobs, audio_retention_seconds=0.0).round()

    assert topology.part(run_id(record.id, 0), 0) not in await leftovers(bus, record)
    assert topology.text(run_id(record.id, 0), 0) in await leftovers(bus, record)
    assert topology.part(run_id(running.id, 0), 0) in await leftovers(bus, running)


async def test_everything_goes_when_the_texts_time_is_over(bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.COMPLETED)
    await janitor(bus, jobs, text_retention_seconds=0.0).round()
    assert await leftovers(bus, record) == {}
    found = await jobs.get(record.owner, record.id)
    assert found is not None
    assert found.deleted


async def test_what_comes_back_of_a_deleted_job_is_erased_again(bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(bus, jobs)
    await jobs.delete(record)
    assert await leftovers(bus, record) == {}
    await publish(bus, run_id(record.id, 0), text(0, "late"))
    await janitor(bus, jobs).round()
    assert await leftovers(bus, record) == {}


async def test_a_job_without_its_command_is_handed_out_again(bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(bus, jobs, upload=UploadState.STORED)
    command = topology.waiting("short", record.owner, run_id(record.id, 0), 0)
    await bus.purge(Stream.CTL, command)
    await janitor(bus, jobs).round()
    assert await bus.last(Stream.CTL, command) is None
    for _ in range(2):
        await janitor(bus, jobs, orphan_seconds=0.0).round()
    stored = await bus.last(Stream.CTL, command)
    assert stored is not None
    assert msgspec.json.decode(stored.data, type=StartJob).job == record.id
    assert (await bus.subjects(Stream.CTL, command))[command] == 1


async def test_an_upload_whose_gateway_died_after_the_last_part_is_stored(
    gateway: Gateway, bus: Bus, jobs: Jobs
) -> None:
    key = str(uuid.uuid4())
    record = await stored_job(bus, jobs, key=key)
    assert record.upload is UploadState.RECEIVING
    options = {"headers": {"Idempotency-Key": key}}
    again = await gateway.json("POST", "/v1/jobs", 200, data=form(b"sound", name="x"), **options)
    assert again["upload"] == {"state": "stored", "bytes": 5, "total_bytes": 5}
    found = await record_of(bus, "ann", record.id)
    assert found is not None
    assert (found.upload, found.upload_bytes) == (UploadState.STORED, 5)


async def test_the_end_event_counts_before_the_record_knows(gateway: Gateway, bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.RUNNING)
    await publish(bus, run_id(record.id, 0), ended(1))
    shown = await gateway.json("GET", f"/v1/jobs/{record.id}")
    assert (shown["status"], shown["progress"]["percent"]) == ("completed", 100)


async def test_work_that_a_killed_broker_kept_of_an_ended_job_goes(bus: Bus, jobs: Jobs) -> None:
    over = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.COMPLETED)
    running = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.RUNNING)
    for record in (over, running):
        await bus.create(topology.chunk(Lane.SHORT, record.owner, run_id(record.id, 0), 0), b"flac")

    await janitor(bus, jobs).round()
    assert await _work(bus, over), "it may be on its way to its acknowledgement"
    await janitor(bus, jobs, janitor_seconds=0.0).round()

    assert await _work(bus, over) == {}
    assert len(await _work(bus, running)) == 2


async def test_the_command_of_a_later_attempt_stays(bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.COMPLETED)
    await bus.purge(Stream.CTL, ">")
    await jobs.start(msgspec.structs.replace(record, attempt=1))

    await janitor(bus, jobs, janitor_seconds=0.0).round()

    assert len(await _work(bus, record)) == 1


async def test_what_came_back_of_an_upload_that_broke_off_goes(bus: Bus, jobs: Jobs) -> None:
    record = await stored_job(
        bus, jobs, upload=UploadState.STORED, state=JobState.COMPLETED, ended_at=time.time(), run=1
    )
    assert await leftovers(bus, record)

    await janitor(bus, jobs, audio_retention_seconds=0.0).round()

    assert await leftovers(bus, record) == {}


async def _work(bus: Bus, record: JobRecord) -> dict[str, int]:
    run = run_id(record.id, 0)
    return {
        **await bus.subjects(Stream.CTL, topology.work("*", record.owner, run)),
        **await bus.subjects(Stream.CHUNK, topology.chunk("*", record.owner, run)),
    }


async def test_jobs_of_which_nothing_is_due_are_forgotten_until_the_next_walk(bus: Bus, jobs: Jobs) -> None:
    """Memory must not grow with history."""
    over = [
        await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.COMPLETED, ended_at=time.time())
        for _ in range(3)
    ]
    running = await stored_job(bus, jobs, upload=UploadState.STORED, state=JobState.RUNNING)
    remembered = Remembered(bus, Settings(), walk_seconds=0.0)
    for _ in range(2):
        remembered.begin(time.time())
        assert not await remembered.learn()
        assert {known.record.id for _, known in remembered} == {record.id for record in (*over, running)}
        remembered.forget()
        assert {known.record.id for _, known in remembered} == {running.id}
