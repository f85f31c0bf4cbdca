"""What users do besides waiting: listen while uploading, come back, cancel, repeat."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api import Api
from tests.speech import recording, speak


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=60, seed=8)
    return path


async def held_back(data: bytes, released: asyncio.Event) -> AsyncIterator[bytes]:
    """All of a recording but its last kilobyte, which waits."""
    yield data[:-1024]
    await released.wait()
    yield data[-1024:]


async def test_words_come_while_the_upload_still_runs(api: Api, talk: Path) -> None:
    key, released = str(uuid.uuid4()), asyncio.Event()
    uploading = asyncio.create_task(_upload(api, held_back(talk.read_bytes(), released), key))
    job = await api.find(key)

    async with asyncio.timeout(60):
        async for event in api.events(job):
            if event.name == "text" and event.data["text"]:
                break
    assert not uploading.done()
    assert (await api.job(job))["upload"]["state"] == "receiving"

    released.set()
    assert await uploading == 201
    assert (await api.finished(job))[-1].data["status"] == "completed"


async def _upload(api: Api, body: AsyncIterator[bytes], key: str) -> int:
    headers = {"Content-Type": "audio/mpeg", "Idempotency-Key": key}
    async with api.session.post("/v1/jobs?name=live", data=body, headers=headers) as answer:
        return answer.status


async def test_a_reader_that_comes_back_sees_every_event_once(api: Api, talk: Path) -> None:
    _, job = await api.submit(talk)
    seen: list[int] = []
    async with asyncio.timeout(100):
        while True:
            last = None
            async for event in api.events(job["id"], seen[-1] if seen else None):
                last = event
                if event.id is not None:
                    seen.append(event.id)
                    break  # and hang up after each single event
            if last is None or last.name == "end":
                break
    whole = [event.id for event in await api.finished(job["id"])]

    assert seen == whole


async def test_a_finished_stream_is_not_opened_again(api: Api, talk: Path) -> None:
    _, job = await api.submit(talk)
    end = (await api.finished(job["id"]))[-1]

    headers = {"Last-Event-ID": str(end.id)}
    async with api.session.get(f"/v1/jobs/{job['id']}/events", headers=headers) as answer:
        assert answer.status == 204


async def test_nobody_sees_another_users_job(api: Api, other: Api, talk: Path) -> None:
    _, job = await api.submit(talk)
    for path in ("", "/events", "/transcript"):
        status, _ = await other.get(f"/v1/jobs/{job['id']}{path}")
        assert status == 404, path
    async with other.session.delete(f"/v1/jobs/{job['id']}") as answer:
        assert answer.status == 404
    _, listing = await other.get("/v1/jobs")
    assert job["id"] not in [entry["id"] for entry in listing["jobs"]]


async def test_a_deleted_job_is_gone_and_stays_gone(api: Api, talk: Path) -> None:
    _, job = await api.submit(talk)
    async with api.session.delete(f"/v1/jobs/{job['id']}") as answer:
        assert answer.status == 204
    for path in ("", "/events", "/transcript"):
        status, _ = await api.get(f"/v1/jobs/{job['id']}{path}")
        assert status == 404, path


async def test_the_same_key_gives_the_same_job(api: Api, talk: Path, tmp_path: Path) -> None:
    key = str(uuid.uuid4())
    first_status, first = await api.submit(talk, key=key)
    again_status, again = await api.submit(talk, key=key)
    changed = tmp_path / talk.name
    changed.write_bytes(talk.read_bytes()[:-1] + b"x")
    conflict_status, conflict = await api.submit(changed, key=key)

    assert (first_status, again_status, conflict_status) == (201, 200, 409)
    assert first["id"] == again["id"]
    assert conflict["error"]["code"] == "different_content"


async def test_every_transcript_format_holds_the_text(api: Api, talk: Path) -> None:
    _, job = await api.submit(talk)
    await api.finished(job["id"])
    words = (await api.text(job["id"])).split()

    for fmt in ("srt", "vtt"):
        _, body = await api.get(f"/v1/jobs/{job['id']}/transcript", format=fmt)
        assert all(word in body for word in words)
        assert "-->" in body


async def test_hotwords_change_the_spelling(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "names.wav"
    speak("call Catherine at two three four five", path)
    spellings = []
    for fields in ({}, {"hotwords": '["Katherine"]', "hotword_method": "logit_bias", "boost_factor": "4"}):
        _, job = await api.submit(path, **fields)
        await api.finished(job["id"])
        spellings.append(await api.text(job["id"]))

    assert "Catherine" in spellings[0]
    assert "Katherine" in spellings[1]


async def test_the_user_of_one_machine_is_its_administrator(api: Api, talk: Path) -> None:
    """Sees the job that runs, ends it as anybody's, and sees what it took."""
    before = await used(api)
    released = asyncio.Event()
    key = str(uuid.uuid4())
    uploading = asyncio.create_task(_upload(api, held_back(talk.read_bytes(), released), key))
    job = await api.find(key)
    async with asyncio.timeout(60):
        async for event in api.events(job):
            if event.name == "text":
                break
    status, running = await api.get("/v1/admin/jobs", state="running")
    assert (status, job in [one["id"] for one in running["jobs"]]) == (200, True)

    async with api.session.post(f"/v1/admin/jobs/{job}/cancel") as answer:
        assert answer.status == 202, await answer.text()

    assert (await api.finished(job))[-1].data["status"] == "cancelled"
    assert await api.text(job) != "\n"
    async with asyncio.timeout(20):
        while await used(api) == before:  # noqa: ASYNC110  # the sum is in the broker
            await asyncio.sleep(0.1)
    released.set()
    await uploading


async def used(api: Api) -> float:
    """Seconds at the endpoint, as administrators see them."""
    status, body = await api.get("/v1/admin/usage")
    assert status == 200, body
    return float(sum(one["endpoint_seconds"] for one in body["users"] if one["user"] == "admin"))
