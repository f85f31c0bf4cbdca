"""Every process, the broker included, dies by kill -9 while a recording is in work: nothing of it is lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api, logged_in
from tests.chaos.kills import answering, killed, through_kills
from tests.receiver import receiving
from tests.speech import recording
from tests.stack_thread import StackThread

VICTIMS = ("transcriber", "endpoint", "chunker", "nats", "gateway", "auth")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """A stack of this module's own, quick to notice a dead uploader."""
    environ = {
        "UPLOAD_SILENCE_SECONDS": "12",
        "TRANSCRIBER_SLOTS": "2",
        "WEBHOOK_NETWORKS": "127.0.0.1/32",
    }
    running = StackThread(tmp_path_factory.mktemp("stack"), environ=environ).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=300, seed=12)
    return path


@pytest.mark.timeout(400)
async def test_each_process_killed_once_costs_no_word(stack: StackThread, talk: Path) -> None:
    """Nor are those forgotten who wait for a call, and each job counts once in what its user has used."""
    async with logged_in(stack.url, stack.username, stack.password) as api, receiving() as receiver:
        _, calm = await api.submit(talk, name="calm")
        await api.finished(calm["id"], seconds=120)
        _, job = await api.submit(talk, name="stormy", callback_url=receiver.url)
        events = await through_kills(stack, api, job["id"], VICTIMS, texts_between=1)

        transcripts = [await _transcript(api, name) for name in (calm["id"], job["id"])]
        told = await receiver.until(1, seconds=60)
        used = await _used(api, jobs=2)

    ids = [event.id for event in events if event.id is not None]
    assert ids == sorted(set(ids))
    chunks = sorted(event.data["chunk"] for event in events if event.name == "text")
    assert chunks == list(range(len(chunks)))
    assert transcripts[0] == transcripts[1]
    assert {request.event["id"] for request in told} == {f"{job['id']}-0-0"}
    assert used["audio_seconds"] == pytest.approx(2 * transcripts[0]["duration"], abs=0.1)


async def _used(api: Api, *, jobs: int) -> dict[str, Any]:
    """What the user has used, once it is this many jobs."""
    async with asyncio.timeout(60):
        while True:
            _, body = await api.get("/v1/usage")
            if body["total"]["jobs"] >= jobs:
                assert body["total"]["jobs"] == jobs
                return dict(body["total"])
            await asyncio.sleep(0.2)


@pytest.mark.timeout(200)
async def test_an_upload_whose_gateway_dies_keeps_what_arrived(stack: StackThread, tmp_path: Path) -> None:
    key, note = str(uuid.uuid4()), tmp_path / "note.mp3"
    recording(note, seconds=120, seed=12)
    async with logged_in(stack.url, stack.username, stack.password) as api:
        uploading = asyncio.create_task(_endless_upload(api, note.read_bytes(), key))
        job = await api.find(key)
        async with asyncio.timeout(60):
            async for event in api.events(job):
                if event.name == "text":
                    break
        await killed(stack, "gateway")
        await asyncio.gather(uploading, return_exceptions=True)
        await answering(api)
        await api.finished(job, seconds=90)

        assert (await api.job(job))["status"] == "interrupted"
        assert len((await api.text(job)).split()) > 20

        status, again = await api.submit(note, key=key)
        assert (status, again["id"]) == (201, job)
        assert (await api.finished(job, seconds=90))[-1].data["status"] == "completed"


async def _transcript(api: Api, job: str) -> dict[str, Any]:
    """What the user gets, without what differs between two jobs by nature."""
    await answering(api)
    _, body = await api.get(f"/v1/jobs/{job}/transcript", format="json")
    return {name: body[name] for name in ("text", "segments", "gaps", "skipped", "duration", "status")}


async def _endless_upload(api: Api, data: bytes, key: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        await asyncio.Event().wait()

    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": key}
    async with api.session.post("/v1/jobs", data=body(), headers=headers) as answer:
        await answer.read()
