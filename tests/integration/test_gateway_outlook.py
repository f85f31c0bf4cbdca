"""Place in line and seconds left, in the job and in its events."""

import asyncio
import json

import msgspec

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord, JobState
from services.contracts.topology import Stream
from services.gateway.jobs import Jobs
from tests.gateways import Gateway, cut, publish, record_of, text, upload

HALF_MINUTE = 30.0
CHUNKS = 500


async def changed(bus: Bus, job: str, **facts: object) -> JobRecord:
    record = await record_of(bus, "ann", job)
    assert record is not None
    new = msgspec.structs.replace(record, **facts)
    assert await Jobs(bus).change(record, lambda _old: new) is not None
    return new


async def ended(bus: Bus, job: str) -> None:
    """It took 30 s for a minute of audio."""
    now = await bus.now(Stream.JOB)
    began = {"state": JobState.COMPLETED, "started_at": now - HALF_MINUTE, "ended_at": now}
    await changed(bus, job, duration=60 * 16_000, **began)


async def test_a_waiting_job_tells_its_place_and_what_others_took(gateway: Gateway, bus: Bus) -> None:
    first, second, third = [await upload(gateway) for _ in range(3)]
    assert (first["position"], second["position"]) == (1, 2)
    assert first["seconds_left"] is None, "nothing is known of a user's first job"

    await ended(bus, first["id"])
    shown = await gateway.json("GET", f"/v1/jobs/{third['id']}")
    assert shown["position"] == 2
    assert shown["seconds_left"] == 2 * HALF_MINUTE
    listed = await gateway.json("GET", "/v1/jobs")
    assert "position" not in listed["jobs"][0], "a list does not count for each of its jobs"


async def test_a_running_job_goes_by_its_own_texts(gateway: Gateway, bus: Bus) -> None:
    """They come much faster than the half minute before them lets expect; nothing else is known."""
    job = (await upload(gateway, b"s" * CHUNKS))["id"]
    await changed(bus, job, state=JobState.RUNNING, started_at=await bus.now(Stream.JOB) - HALF_MINUTE)
    for chunk in range(CHUNKS):
        await publish(bus, run_id(job, 0), cut(chunk, source_bytes=chunk + 1))
        await publish(bus, run_id(job, 0), text(chunk, "said"))
        shown = await gateway.json("GET", f"/v1/jobs/{job}")
        if shown["seconds_left"] is not None:
            break
    done = shown["progress"]["chunks_done"]
    assert done >= 3, "texts that came so far tell nothing"
    assert 0 < shown["seconds_left"] < HALF_MINUTE / 2 * (CHUNKS - done) / done


async def test_jobs_of_others_say_nothing(gateway: Gateway, bus: Bus) -> None:
    await ended(bus, (await upload(gateway))["id"])
    others = await upload(gateway, user="bob")
    assert (others["position"], others["seconds_left"]) == (1, None)


async def test_readers_hear_when_the_place_changes(gateway: Gateway, bus: Bus) -> None:
    first, second = [await upload(gateway) for _ in range(2)]
    positions: list[int | None] = []
    async with gateway.request("GET", f"/v1/jobs/{second['id']}/events") as answer, asyncio.timeout(30):
        async for line in answer.content:
            if line.startswith(b"data: "):
                positions.append(json.loads(line[6:])["position"])
                if positions == [2]:
                    await ended(bus, first["id"])
                if positions[-1] == 1:
                    break
    assert positions == [2, 1]
