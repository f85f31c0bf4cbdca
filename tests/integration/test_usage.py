"""What users have used: counted once, whatever dies or runs twice, and after the jobs are gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.common.bus import Bus
from services.common.consumer import Delivery
from services.contracts import topology
from services.contracts.identifiers import owner_token, run_id
from services.contracts.messages import ChunkCut, ChunkTranscribed, JobState, StartJob
from services.contracts.topology import Stream
from services.contracts.usage import Figures, JobUsed
from services.gateway.janitor import Janitor
from services.gateway.jobs import Jobs, tombstone
from services.gateway.settings import Settings
from services.gateway.usage import Usage
from tests.gateways import Gateway, cut, publish, text, until, upload
from tests.pipeline import OWNER, Pipeline, worker

NOTHING = {"jobs": 0, "audio_seconds": 0.0, "skipped_seconds": 0.0, "endpoint_seconds": 0.0}


@pytest.fixture
async def adding(bus: Bus) -> AsyncIterator[None]:
    """Two gateways that add up."""
    async with worker(Usage(bus).run), worker(Usage(bus).run):
        yield


async def figures(gateway: Gateway, jobs: int, user: str = "tester") -> dict[str, Any]:
    """The user's sums, once so many jobs are in them and no fact is left to be added."""

    async def there() -> dict[str, Any] | None:
        shown = await gateway.json("GET", "/v1/usage", user=user)
        return shown if shown["total"]["jobs"] >= jobs else None

    shown = await until(there)
    assert shown["total"]["jobs"] == jobs
    return shown


async def add(bus: Bus, user: str, job: str, **used: float) -> bool:
    fact = JobUsed(user=user, figures=Figures(**used))  # type: ignore[arg-type]
    subject = topology.usage(owner_token(user), run_id(job, 0), 0)
    return await bus.create(subject, msgspec.json.encode(fact))


async def test_a_job_counts_with_what_it_used_and_stays_counted(
    pipeline: Pipeline, gateway: Gateway, talk: bytes, adding: None
) -> None:
    job = await pipeline.start_job("counted")
    await pipeline.upload(job, talk)
    record = await pipeline.until_final(job)
    events = await pipeline.events(job)
    assert record.duration is not None

    shown = await figures(gateway, 1)

    today = datetime.now(UTC).date()
    assert [day["date"] for day in shown["days"]] in ([str(today)], [str(today - timedelta(days=1))])
    total = shown["total"]
    cuts = [event for event in events if isinstance(event, ChunkCut)]
    spoken = sum(one.end - one.start for one in cuts) / 16_000
    assert total["audio_seconds"] == pytest.approx(record.duration / 16_000, abs=0.01)
    assert total["audio_seconds"] - total["skipped_seconds"] == pytest.approx(spoken, abs=0.02)
    seconds = sum(event.endpoint_seconds for event in events if isinstance(event, ChunkTranscribed))
    assert total["endpoint_seconds"] == pytest.approx(seconds, abs=0.001)
    assert seconds > 0
    async with gateway.request("DELETE", f"/v1/jobs/{job}", user="tester") as answer:
        assert answer.status == 204
    assert (await figures(gateway, 1))["total"] == total


async def test_an_end_that_is_processed_again_counts_nothing(
    pipeline: Pipeline, gateway: Gateway, talk: bytes, adding: None
) -> None:
    """A chunker that dies after the fact and before the end leaves the next one to do all of it again."""
    job = await pipeline.start_job("twice")
    await pipeline.upload(job, talk)
    record = await pipeline.until_final(job)
    before = (await figures(gateway, 1))["total"]
    await pipeline.bus.purge(Stream.RES, topology.end(run_id(job, 0), 0))
    again = msgspec.structs.replace(record, state=JobState.RUNNING, ended_at=None)
    assert await Jobs(pipeline.bus).replace(record, again)
    subject = topology.control("short", OWNER, run_id(job, 0), 0)
    await pipeline.bus.create(subject, msgspec.json.encode(StartJob(owner=OWNER, job=job, run=0)))
    await pipeline.until_final(job)
    await add(pipeline.bus, "tester", "another", jobs=1)
    assert (await figures(gateway, 2))["total"] == {**before, "jobs": 2}


async def test_a_fact_delivered_again_after_its_sum_was_stored_is_added_once(
    bus: Bus, gateway: Gateway
) -> None:
    """A gateway that dies between sum and acknowledgement; its successor gets the fact once more."""
    await add(bus, "ann", "one", jobs=1, audio=16_000)
    subscription = await bus.jetstream.pull_subscribe_bind(topology.USAGE.name, Stream.USAGE)
    [message] = await subscription.fetch(1, timeout=10)
    usage = Usage(bus)
    delivery = Delivery(message.subject, message.data, {}, 1, message.metadata.sequence.stream, time.time())
    await usage.add(msgspec.json.decode(message.data, type=JobUsed), delivery)
    await message.nak()
    await subscription.unsubscribe()
    async with worker(usage.run):
        await add(bus, "ann", "two", jobs=1, audio=16_000)
        assert (await figures(gateway, 2, "ann"))["total"]["audio_seconds"] == 2.0


async def test_what_a_deleted_job_had_used_counts(gateway: Gateway, bus: Bus, adding: None) -> None:
    job = str((await upload(gateway))["id"])
    run = run_id(job, 0)
    heard = msgspec.structs.replace(text(0, "one"), endpoint_seconds=1.5)
    for event in (cut(0), heard, cut(1)):
        await publish(bus, run, event)
    async with gateway.request("DELETE", f"/v1/jobs/{job}") as answer:
        assert answer.status == 204
    assert await bus.subjects(Stream.RES, topology.results(run)) == {}
    total = (await figures(gateway, 1, "ann"))["total"]
    assert total == {**NOTHING, "jobs": 1, "audio_seconds": 40.0, "endpoint_seconds": 1.5}


async def test_a_gateway_that_died_before_it_erased_left_the_rest_to_the_janitor(
    gateway: Gateway, bus: Bus, adding: None
) -> None:
    job = str((await upload(gateway))["id"])
    await publish(bus, run_id(job, 0), cut(0))
    jobs = Jobs(bus)
    record = await jobs.visible(owner_token("ann"), job)
    await jobs.change(record, tombstone)  # and here it dies
    for _ in range(2):
        await Janitor(bus, jobs, Settings(janitor_seconds=0.0)).round()
    assert (await figures(gateway, 1, "ann"))["total"]["audio_seconds"] == 20.0
    everybody = await gateway.json("GET", "/v1/admin/usage", headers={"X-Roles": "admin"})
    assert [one["user"] for one in everybody["users"]] == ["ann"]


async def test_administrators_see_everybody_and_nobody_else_does(
    gateway: Gateway, bus: Bus, adding: None
) -> None:
    await add(bus, "ann", "a", jobs=1, audio=16_000, endpoint_seconds=0.5)
    await add(bus, "ann", "b", jobs=1, audio=16_000)
    await add(bus, "bob", "c", jobs=1, skipped=8_000)
    for user, jobs in (("ann", 2), ("bob", 1)):
        await figures(gateway, jobs, user)
    shown = await gateway.json("GET", "/v1/admin/usage", headers={"X-Roles": "admin"})
    assert shown["users"] == [
        {"user": "ann", **NOTHING, "jobs": 2, "audio_seconds": 2.0, "endpoint_seconds": 0.5},
        {"user": "bob", **NOTHING, "jobs": 1, "skipped_seconds": 0.5},
    ]
    assert (await gateway.json("GET", "/v1/usage", user="eve"))["days"] == []
    await gateway.json("GET", "/v1/admin/usage", 403, user="ann")


async def test_days_are_chosen_and_bounded(gateway: Gateway, bus: Bus, adding: None) -> None:
    await add(bus, "ann", "a", jobs=1)
    await figures(gateway, 1, "ann")
    today = datetime.now(UTC).date()
    past = await gateway.json("GET", "/v1/usage?from=2026-01-01&to=2026-01-31")
    assert (past["from"], past["to"], past["days"], past["total"]) == (
        "2026-01-01",
        "2026-01-31",
        [],
        NOTHING,
    )
    wide = await gateway.json("GET", f"/v1/usage?from={today - timedelta(days=399)}&to={today}")
    assert wide["total"]["jobs"] == 1
    for query, field in (
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-02-01&to=2026-01-01", "from"),
        ("from=2020-01-01&to=2026-01-01", "from"),
    ):
        refused = await gateway.json("GET", f"/v1/usage?{query}", 400)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("invalid_request", field)


async def test_two_gateways_add_up_much_at_once(gateway: Gateway, bus: Bus, adding: None) -> None:
    names = [f"job{number}" for number in range(200)]
    await asyncio.gather(*(add(bus, "ann", name, jobs=1, audio=16_000) for name in names))
    assert not await add(bus, "ann", names[0], jobs=1, audio=16_000)
    assert (await figures(gateway, 200, "ann"))["total"]["audio_seconds"] == 200.0
