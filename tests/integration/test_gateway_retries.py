"""`POST /v1/jobs/{id}/retry` as its clients see it; the tests themselves play chunker and transcriber."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import StartJob
from services.contracts.topology import Stream
from tests.gateways import Gateway, cut, ended, gap, publish, record_of, text, upload

OWNER = owner_token("ann")


@pytest.fixture
async def job(gateway: Gateway, bus: Bus) -> str:
    """A job of ann's that ended with a gap between two texts."""
    made = str((await upload(gateway))["id"])
    for event in (cut(0), cut(1), cut(2), text(2, "three"), gap(1), text(0, "one"), ended(3)):
        await publish(bus, run_id(made, 0), event)
    return made


async def retry(gateway: Gateway, job: str, status: int = 202, **options: Any) -> dict[str, Any]:
    return await gateway.json("POST", f"/v1/jobs/{job}/retry", status, **options)


async def stored_events(gateway: Gateway, job: str, after: int = 0) -> list[tuple[int, str]]:
    """Id and name of each stored event until the stream closes."""
    async with gateway.request("GET", f"/v1/jobs/{job}/events?after={after}") as answer:
        blocks = (await answer.text()).split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks if "id: " in block]
    return [(int(event["id"]), event["event"]) for event in events]


async def commands(bus: Bus, job: str) -> dict[str, int]:
    return await bus.subjects(Stream.CTL, topology.waiting("*", OWNER, run_id(job, 0)))


async def test_a_retry_is_a_new_attempt_that_a_chunker_is_told_of(
    gateway: Gateway, bus: Bus, job: str
) -> None:
    begun = await retry(gateway, job)
    again = await retry(gateway, job)  # the first answer may have been lost

    assert (begun["status"], begun["attempt"], begun["ended_at"]) == ("running", 1, None)
    assert (again["status"], again["attempt"]) == ("running", 1)
    assert (begun["progress"]["percent"], begun["progress"]["gaps"]) == (66, 1)
    waiting = topology.waiting("short", OWNER, run_id(job, 0), 1)
    assert (await commands(bus, job))[waiting] == 1
    command = await bus.last(Stream.CTL, waiting)
    assert command is not None
    told = msgspec.json.decode(command.data, type=StartJob)
    assert told == StartJob(owner=OWNER, job=job, run=0, attempt=1, trace=told.trace)
    assert told.trace, "it goes on in the trace of the upload"


async def test_a_retry_asked_for_many_times_at_once_is_one_attempt(
    gateway: Gateway, bus: Bus, job: str
) -> None:
    begun = await asyncio.gather(*(retry(gateway, job) for _ in range(5)))
    assert {one["attempt"] for one in begun} == {1}
    assert len(await commands(bus, job)) == 2  # those of both attempts: no chunker takes them here


async def test_readers_go_on_after_the_first_end(gateway: Gateway, bus: Bus, job: str) -> None:
    first = await stored_events(gateway, job)
    assert first[-1][1] == "end"
    await retry(gateway, job)
    reading = asyncio.create_task(stored_events(gateway, job, after=first[-1][0]))
    for event in (text(1, "two"), ended(3, attempt=1)):
        await publish(bus, run_id(job, 0), event)

    assert [name for _, name in await reading] == ["text", "end"]
    names = [name for _, name in await stored_events(gateway, job)]
    assert names == ["cut", "cut", "cut", "text", "gap", "text", "text", "end"]
    last = (await stored_events(gateway, job))[-1][0]
    async with gateway.request("GET", f"/v1/jobs/{job}/events?after={last}") as answer:
        assert answer.status == 204


async def test_a_text_that_came_later_takes_the_gaps_place(gateway: Gateway, bus: Bus, job: str) -> None:
    before = await gateway.json("GET", f"/v1/jobs/{job}/transcript")
    assert [(one["start"], one["end"]) for one in before["gaps"]] == [(20.0, 40.0)]
    await retry(gateway, job)
    for event in (text(1, "two"), ended(3, attempt=1)):
        await publish(bus, run_id(job, 0), event)

    after = await gateway.json("GET", f"/v1/jobs/{job}/transcript")
    assert (after["text"], after["gaps"], after["status"]) == ("one two three", [], "completed")
    for kind in ("srt", "vtt", "text"):
        async with gateway.request("GET", f"/v1/jobs/{job}/transcript?format={kind}") as answer:
            body = await answer.text()
        assert body.index("one") < body.index("two") < body.index("three")
    shown = await gateway.json("GET", f"/v1/jobs/{job}")
    assert (shown["progress"]["percent"], shown["progress"]["gaps"]) == (100, 0)
    refused = await retry(gateway, job, 409)
    assert refused["error"]["code"] == "no_gaps"


async def test_the_old_stream_tells_one_story(gateway: Gateway, bus: Bus, job: str) -> None:
    await retry(gateway, job)
    for event in (text(1, "two"), ended(3, attempt=1)):
        await publish(bus, run_id(job, 0), event)
    async with gateway.request("GET", "/stream") as answer:
        lines = (await answer.text()).splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [event["type"] for event in events] == ["init", *["progress"] * 4, "complete"]
    assert [event["current_segment"] for event in events[1:-1]] == [1, 2, 3, 3]
    assert events[-1]["transcript"] == "one two three"


async def test_a_gap_that_stays_can_be_tried_again(gateway: Gateway, bus: Bus, job: str) -> None:
    await retry(gateway, job)
    for event in (gap(1, attempt=1), ended(3, attempt=1)):
        await publish(bus, run_id(job, 0), event)
    shown = await gateway.json("GET", f"/v1/jobs/{job}")
    assert (shown["status"], shown["progress"]["gaps"]) == ("completed", 1)
    assert (await retry(gateway, job))["attempt"] == 2


async def test_what_cannot_be_retried_is_refused_with_the_reason(gateway: Gateway, bus: Bus) -> None:
    unknown = await retry(gateway, job_id("ann", "never"), 404)
    assert unknown["error"]["code"] == "not_found"
    running = str((await upload(gateway))["id"])
    assert (await retry(gateway, running, 409))["error"]["code"] == "job_running"
    await gateway.json("POST", f"/v1/jobs/{running}/retry", 404, user="bob")
    for event in (cut(0), gap(0), ended(1)):
        await publish(bus, run_id(running, 0), event)
    await bus.purge(Stream.UP, topology.part(run_id(running, 0)))
    refused = await retry(gateway, running, 409)
    assert refused["error"]["code"] == "audio_expired"
    assert "send it again" in refused["error"]["message"]


async def test_deleting_a_job_that_is_retried_leaves_nothing(gateway: Gateway, bus: Bus, job: str) -> None:
    await retry(gateway, job)
    async with gateway.request("DELETE", f"/v1/jobs/{job}") as answer:
        assert answer.status == 204
    assert await commands(bus, job) == {}
    assert await bus.subjects(Stream.RES, topology.results(run_id(job, 0))) == {}
    record = await record_of(bus, "ann", job)
    assert record is not None
    assert record.deleted
    assert (await retry(gateway, job, 404))["error"]["code"] == "not_found"
