"""The same recording sent again: recognised at any gateway, at the same time, while it runs and after."""

import asyncio
import uuid
from typing import Any

import aiohttp
import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import owner_token, run_id
from services.contracts.messages import JobRecord, JobState, SameContent
from services.contracts.topology import Stream
from services.gateway.openai import repeats
from tests.gateways import (
    Gateway,
    StartGateway,
    cut,
    ended,
    failed,
    gap,
    mark,
    publish,
    record_of,
    text,
    until,
)

PATH = "/v1/audio/transcriptions"
SOUND = b"a recording of two chunks"


def sent(content: bytes = SOUND, **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData({"model": "whisper-1", **fields})
    made.add_field("file", content, filename="talk.mp3")
    return made


async def ask(gateway: Gateway, content: bytes = SOUND, **fields: str) -> str:
    """The text, once it is there."""
    found = await gateway.json("POST", PATH, data=sent(content, **fields))
    return str(found["text"])


async def jobs(gateway: Gateway, count: int, user: str = "ann") -> list[str]:
    """The ids of a user's jobs, newest first, once there are so many and all are stored."""

    async def found() -> list[str] | None:
        listed = (await gateway.json("GET", "/v1/jobs", user=user))["jobs"]
        stored = all(job["upload"]["state"] == "stored" for job in listed)
        return [job["id"] for job in listed] if stored and len(listed) == count else None

    return await until(found)


async def notes(bus: Bus) -> list[str]:
    return list(await bus.subjects(Stream.JOB, topology.same_content("*", "*")))


async def finish(bus: Bus, job: str, words: str = "Hello.", attempt: int = 0) -> None:
    """What chunker and transcriber do."""
    for event in (cut(0), text(0, words), ended(1, attempt=attempt)):
        await publish(bus, run_id(job, 0), event)


async def test_a_repeat_is_answered_by_the_running_job(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(ask(gateway))
    [job] = await jobs(gateway, 1)
    await until(lambda: notes(bus))
    again = asyncio.create_task(ask(gateway))

    async def recognised() -> bool | None:
        """The repeat's own job came and went."""
        records = await bus.subjects(Stream.JOB, topology.job_record(owner_token("ann"), "*"))
        return (len(records) == 2 and len(await gone(bus)) == 1) or None

    await until(recognised)
    [erased] = await gone(bus)
    assert not await bus.subjects(Stream.UP, topology.part(run_id(erased, 0)))
    assert not await bus.subjects(Stream.CTL, topology.work("*", owner_token("ann"), run_id(erased, 0)))
    await finish(bus, job)
    assert [await first, await again] == ["Hello."] * 2
    assert await jobs(gateway, 1) == [job]


async def gone(bus: Bus) -> list[str]:
    subjects = await bus.subjects(Stream.JOB, topology.job_record(owner_token("ann"), "*"))
    found = [await record_of(bus, "ann", subject.rpartition(".")[2]) for subject in subjects]
    return [record.id for record in found if record is not None and record.deleted]


async def test_a_repeat_is_answered_by_the_finished_job(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(ask(gateway))
    [job] = await jobs(gateway, 1)
    await finish(bus, job)
    await first
    assert await ask(gateway) == "Hello."
    stream = await gateway.request("POST", PATH, data=sent(stream="true", response_format="json"))
    assert "transcript.text.done" in await stream.text()
    assert await jobs(gateway, 1) == [job]


async def test_other_options_content_or_users_are_no_repeats(gateway: Gateway, bus: Bus) -> None:
    asking = [asyncio.create_task(ask(gateway))]
    [first] = await jobs(gateway, 1)
    await until(lambda: notes(bus))
    asking.append(asyncio.create_task(ask(gateway, language="en")))
    await jobs(gateway, 2)
    asking.append(asyncio.create_task(ask(gateway, SOUND + b".")))
    mine = await jobs(gateway, 3)
    other = asyncio.create_task(gateway.json("POST", PATH, data=sent(), user="bob"))
    [his] = await jobs(gateway, 1, user="bob")
    for number, job in enumerate([*mine, his]):
        await finish(bus, job, f"Text {number}.")
    assert [await one for one in asking] == ["Text 2.", "Text 1.", "Text 0."]
    assert (await other)["text"] == "Text 3."
    assert first == mine[2]


async def test_equal_uploads_at_once_at_two_gateways_have_one_job(
    start_gateway: StartGateway, bus: Bus
) -> None:
    async with start_gateway() as one, start_gateway() as two:
        asking = [asyncio.create_task(ask(gateway)) for gateway in (one, two) * 5]

        async def settled() -> str | None:
            """The one job that is left, once all others are erased."""
            subjects = await bus.subjects(Stream.JOB, topology.job_record(owner_token("ann"), "*"))
            left = [s.rpartition(".")[2] for s in subjects if s.rpartition(".")[2] not in await gone(bus)]
            return left[0] if len(subjects) == 10 and len(left) == 1 else None

        await finish(bus, await until(settled))
        assert [await each for each in asking] == ["Hello."] * 10


async def test_gaps_are_tried_again_for_a_repeat(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(ask(gateway))
    [job] = await jobs(gateway, 1)
    for event in (cut(0), cut(1), text(0, "Hello."), gap(1), ended(2)):
        await publish(bus, run_id(job, 0), event)
    assert await first == "Hello."
    await mark(bus, job, state=JobState.COMPLETED)
    again = asyncio.create_task(ask(gateway))

    async def retried() -> JobRecord | None:
        record = await record_of(bus, "ann", job)
        return record if record and record.attempt == 1 else None

    await until(retried)
    for event in (text(1, "How are you?"), ended(2, attempt=1)):
        await publish(bus, run_id(job, 0), event)
    assert await again == "Hello. How are you?"


async def test_what_is_no_recording_is_refused_again_without_work(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(gateway.json("POST", PATH, 400, data=sent()))
    [job] = await jobs(gateway, 1)
    await publish(bus, run_id(job, 0), failed("not_audio", "This is no recording."))
    assert await first == await gateway.json("POST", PATH, 400, data=sent())
    assert await jobs(gateway, 1) == [job]


async def test_a_job_that_failed_otherwise_is_made_anew(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(gateway.json("POST", PATH, 500, data=sent()))
    [job] = await jobs(gateway, 1)
    await publish(bus, run_id(job, 0), failed("broken", "It broke."))
    await first
    again = asyncio.create_task(ask(gateway))
    [newer, older] = await jobs(gateway, 2)
    assert older == job
    await finish(bus, newer)
    assert await again == "Hello."


async def test_a_deleted_job_and_one_that_ended_long_ago_answer_nobody(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(ask(gateway))
    [job] = await jobs(gateway, 1)
    await finish(bus, job)
    await first
    now = await bus.now(Stream.JOB)
    await mark(bus, job, state=JobState.COMPLETED, ended_at=now - repeats.RECOGNISED_SECONDS)
    again = asyncio.create_task(ask(gateway))
    [second, _] = await jobs(gateway, 2)
    await finish(bus, second)
    await again
    async with gateway.request("DELETE", f"/v1/jobs/{second}") as answer:
        assert answer.status == 204
    third = asyncio.create_task(ask(gateway))
    [newest, _] = await jobs(gateway, 2)
    assert newest not in (job, second)
    await finish(bus, newest)
    await third


async def test_a_key_of_ones_own_decides_alone(gateway: Gateway, bus: Bus) -> None:
    first = asyncio.create_task(ask(gateway))
    [job] = await jobs(gateway, 1)
    await finish(bus, job)
    await first
    key = {"Idempotency-Key": str(uuid.uuid4())}
    keyed = asyncio.create_task(gateway.json("POST", PATH, data=sent(), headers=key))
    [newer, _] = await jobs(gateway, 2)
    await finish(bus, newer, "Anew.")
    assert (await keyed)["text"] == "Anew."
    assert (await gateway.json("POST", PATH, data=sent(), headers=key))["text"] == "Anew."


async def test_an_upload_that_breaks_off_leaves_nothing(gateway: Gateway, bus: Bus) -> None:
    go_on = asyncio.Event()

    async def slowly() -> Any:
        yield b"a" * 600_000
        await go_on.wait()
        raise ConnectionResetError

    made = aiohttp.FormData({"model": "whisper-1"})
    made.add_field("file", slowly(), filename="talk.mp3")
    uploading = asyncio.create_task(gateway.json("POST", PATH, data=made))
    listed = await until(lambda: _listed(gateway))
    go_on.set()
    await asyncio.gather(uploading, return_exceptions=True)

    async def erased() -> bool | None:
        there = (await gateway.json("GET", "/v1/jobs"))["jobs"]
        parts = await bus.subjects(Stream.UP, topology.part(run_id(listed[0]["id"], 0)))
        return (not there and not parts) or None

    await until(erased)


async def _listed(gateway: Gateway) -> list[dict[str, Any]]:
    return list((await gateway.json("GET", "/v1/jobs"))["jobs"])


async def test_old_notes_are_erased(gateway: Gateway, bus: Bus) -> None:
    asking = [asyncio.create_task(ask(gateway, content)) for content in (b"one", b"two", b"three")]
    old, deleted, running = await jobs(gateway, 3)
    await until(lambda: _three(bus))
    for job in (old, deleted):
        await finish(bus, job)
    await mark(bus, old, state=JobState.COMPLETED, ended_at=1.0)
    async with gateway.request("DELETE", f"/v1/jobs/{deleted}") as answer:
        assert answer.status == 204
    await gateway.app[repeats.REPEATS].forget()
    [left] = await notes(bus)
    stored = await bus.last(Stream.JOB, left)
    assert stored is not None
    assert msgspec.json.decode(stored.data, type=SameContent).job == running
    assert topology.owner_of_content(left) == owner_token("ann")
    await finish(bus, running)
    await asyncio.gather(*asking, return_exceptions=True)


async def _three(bus: Bus) -> bool | None:
    return len(await notes(bus)) == 3 or None
