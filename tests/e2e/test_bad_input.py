"""What goes wrong gets a status and a sentence with cause and remedy, and costs nothing that came before."""

import asyncio
import contextlib
import json
import random
import subprocess
import uuid
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.dev.processes import free_port
from services.dev.sagemaker_runtime import sagemaker_runtime
from tests.api import Api, logged_in
from tests.chaos.secrets_outage import REFUSING, WELL, Outage
from tests.speech import recording
from tests.stack_thread import StackThread

LIMITS = {
    "MAX_UPLOAD_BYTES": "900000",
    "MAX_DURATION_SECONDS": "40",
    "STALL_SECONDS": "5",
    "CHUNK_PATIENCE_SECONDS": "4",
    "UP_MAX_BYTES": "8000000",
    "STORAGE_REFUSE_SHARE": "0.4",
}
"""Small enough to meet; new uploads may take 40 % of the audio's budget, the rest is for running ones."""
AUDIO = {"Content-Type": "audio/mpeg"}
TALK_SECONDS = 60


@pytest.fixture(scope="module")
def way(stack: StackThread) -> Iterator[Outage]:
    """A way of its own to the container of the stack that all tests share, open so far."""
    assert stack.stack.container is not None
    proxy = Outage(stack.stack.container)
    stack.do(proxy.become(WELL))
    yield proxy
    stack.do(proxy.become(REFUSING))


@pytest.fixture(scope="module")
def tight(stack: StackThread, way: Outage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """Another stack with small limits."""
    runtime = sagemaker_runtime(way.url, free_port())
    url = stack.do(runtime.__aenter__())
    running = StackThread(tmp_path_factory.mktemp("tight"), environ=LIMITS, runtime_url=url).start()
    yield running
    running.stop()
    stack.do(runtime.__aexit__(None, None, None))


@pytest.fixture
async def tight_api(tight: StackThread) -> AsyncIterator[Api]:
    async with logged_in(tight.url, tight.username, tight.password) as client:
        yield client


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=TALK_SECONDS, seed=21)
    return path


@pytest.fixture
async def canary() -> AsyncIterator[tuple[str, list[str]]]:
    """Address of a loopback server, and what it was asked for."""
    visits: list[str] = []

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((await reader.readline()).decode())
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", visits


async def outcome(api: Api, path: Path) -> dict[str, Any]:
    """The job of an upload that was taken in, once it has ended."""
    status, job = await api.submit(path)
    assert status == 201, job
    await api.finished(job["id"])
    return await api.job(job["id"])


async def test_an_empty_file_is_refused_and_leaves_no_job(api: Api, tmp_path: Path) -> None:
    path, key = tmp_path / "empty.mp3", str(uuid.uuid4())
    path.touch()

    status, body = await api.submit(path, key=key)

    assert (status, body["error"]["code"]) == (400, "empty_file")
    assert "choose another file" in body["error"]["message"]
    assert (await api.get("/v1/jobs", idempotency_key=key))[1]["jobs"] == []


@pytest.mark.parametrize(
    ("content", "code", "remedy"),
    [
        (random.Random(5).randbytes(200_000), "not_audio", "Send MP3"),
        (b"\x93\x05" * 100_000, "not_audio", "Send MP3"),
        (b"Dear reader,\n" * 500, "not_audio", "Send MP3"),
        (b"%PDF-1.7\n" + bytes(5000), "not_audio", "Send the recording's own file"),
        (b"x", "not_audio", "Send MP3"),
    ],
)
async def test_what_is_no_recording_fails(
    api: Api, tmp_path: Path, content: bytes, code: str, remedy: str
) -> None:
    path = tmp_path / "talk.mp3"
    path.write_bytes(content)

    job = await outcome(api, path)

    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert remedy in job["error"]["message"]


async def test_a_video_without_sound_says_so(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc=d=2:size=64x64", "-c:v", "mpeg4")
    command = ["ffmpeg", "-v", "error", *picture, str(path)]
    await asyncio.to_thread(subprocess.run, command, check=True)

    job = await outcome(api, path)

    assert (job["status"], job["error"]["code"]) == ("failed", "no_sound_track")
    assert "with its sound" in job["error"]["message"]


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.mp3\n#EXT-X-ENDLIST\n",
        "\ufeff\n#EXTM3U\n#EXTINF:10,\n{url}/a.mp3\n",
        "[playlist]\nFile1={url}/a.mp3\n",
        "ffconcat version 1.0\nfile {url}/a.mp3\n",
        "ID3\x03\0\0\0\0\0\0#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.mp3\n",
    ],
)
async def test_a_playlist_is_refused_and_nothing_is_fetched(
    api: Api, tmp_path: Path, canary: tuple[str, list[str]], playlist: str
) -> None:
    url, visits = canary
    path = tmp_path / "talk.mp3"
    path.write_text(playlist.replace("{url}", url))

    job = await outcome(api, path)

    assert job["status"] == "failed"
    assert job["error"]["code"] in ("playlist", "not_audio")
    assert visits == []


async def test_a_truncated_mp3_is_transcribed_and_says_where_it_ends(
    api: Api, talk: Path, tmp_path: Path
) -> None:
    data = talk.read_bytes()
    path = tmp_path / "half.mp3"
    path.write_bytes(data[: len(data) // 2])

    job = await outcome(api, path)

    assert (job["status"], job["notice"]["code"]) == ("completed", "cut_short")
    assert "cut short at 00:3" in job["notice"]["message"]
    assert len((await api.text(job["id"])).split()) > 30


async def test_an_upload_that_the_client_breaks_off_keeps_its_text(api: Api, talk: Path) -> None:
    data, key = talk.read_bytes(), str(uuid.uuid4())
    uploading = asyncio.create_task(_upload(api, _endless(data[:-1024]), key))
    job = await api.find(key)
    async with asyncio.timeout(30):
        async for event in api.events(job):
            if event.name == "text":
                break
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)

    await api.finished(job)

    ended = await api.job(job)
    assert (ended["status"], ended["upload"]["state"]) == ("interrupted", "interrupted")
    assert ended["error"]["code"] == "upload_interrupted"
    assert len((await api.text(job)).split()) > 30


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("language", "klingon", "use a code such as en"),
        ("task", "sing", "use transcribe or translate"),
        ("timestamps", "never", "use segment or word"),
        ("temperature", "7", "use a number from 0 to 1"),
        ("skip_silence", "perhaps", "use true or false"),
        ("hotword_method", "magic", "use prompt_injection or logit_bias"),
        ("boost_factor", "nan", "use a number from 0 to 5"),
        ("langauge", "en", "known are"),
        ("hotwords", json.dumps([f"word{number}" for number in range(5001)]), "at most 5000"),
    ],
)
async def test_an_unknown_option_value_is_named_and_leaves_no_job(
    api: Api, talk: Path, option: str, value: str, said: str
) -> None:
    key = str(uuid.uuid4())

    status, body = await api.submit(talk, key=key, **{option: value})

    assert (status, body["error"]["field"]) == (400, option)
    assert said in body["error"]["message"]
    assert (await api.get("/v1/jobs", idempotency_key=key))[1]["jobs"] == []


async def test_a_recording_over_the_size_limit_is_refused(tight_api: Api, tmp_path: Path) -> None:
    path = tmp_path / "large.mp3"
    path.write_bytes(bytes(3_000_000))

    status, body = await tight_api.submit(path)
    assert (status, body["error"]["code"]) == (413, "too_large")
    assert "0.0009 GB" in body["error"]["message"]
    assert "compressed" in body["error"]["message"]

    pieces = _pieces(bytes(100_000), 12)  # a body of a length that nobody announced
    status, body = await _upload(tight_api, pieces, str(uuid.uuid4()))
    assert (status, body["error"]["code"]) == (413, "too_large")


async def test_a_recording_over_the_duration_limit_keeps_what_came_before(tight_api: Api, talk: Path) -> None:
    job = await outcome(tight_api, talk)

    assert (job["status"], job["notice"]["code"], job["duration"]) == ("completed", "too_long", 40.0)
    assert "Send the rest" in job["notice"]["message"]
    assert len((await tight_api.text(job["id"])).split()) > 30


async def test_a_slow_upload_is_cut_off_and_keeps_its_text(tight_api: Api, talk: Path) -> None:
    data, key = talk.read_bytes(), str(uuid.uuid4())

    status, body = await _upload(tight_api, _endless(data[: len(data) // 2]), key)

    assert (status, body["error"]["code"]) == (408, "upload_too_slow")
    assert "check the connection" in body["error"]["message"]
    job = await tight_api.find(key)
    await tight_api.finished(job)
    assert (await tight_api.job(job))["status"] == "interrupted"
    assert len((await tight_api.text(job)).split()) > 30


async def test_an_endpoint_that_stays_away_leaves_gaps_with_the_reason(
    stack: StackThread, way: Outage, tight_api: Api, talk: Path
) -> None:
    """No container listens, for all that SageMaker can tell."""
    await asyncio.to_thread(stack.do, way.become(REFUSING))
    try:
        job = await outcome(tight_api, talk)
        _, transcript = await tight_api.get(f"/v1/jobs/{job['id']}/transcript")
    finally:
        await asyncio.to_thread(stack.do, way.become(WELL))

    assert job["status"] == "completed"
    assert job["progress"]["gaps"] == len(transcript["gaps"]) > 0
    assert {gap["error"]["code"] for gap in transcript["gaps"]} == {"endpoint_away"}
    assert "endpoint" in transcript["gaps"][0]["error"]["message"]


async def test_a_full_disk_budget_refuses_new_uploads_until_earlier_ones_are_deleted(
    tight_api: Api, talk: Path, tmp_path: Path
) -> None:
    """The upload that is under way when the budget fills up ends with all its words."""
    await _delete_all(tight_api)
    silence = tmp_path / "silence.wav"
    _write_silence(silence, seconds=28)
    key, go_on = str(uuid.uuid4()), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_upload(tight_api, _held_back(talk.read_bytes(), go_on), key))
        job = await tight_api.find(key)
        for _ in range(4):
            await tight_api.submit(silence)
        _write_silence(silence, seconds=0.1)
        refused = await _until_status(tight_api, silence, 503)
        go_on.set()
    assert refused["error"]["code"] == "storage_full"
    assert "delete earlier recordings" in refused["error"]["message"]
    assert running.result()[0] == 201
    await tight_api.finished(job)
    assert len((await tight_api.text(job)).split()) > 30

    await _delete_all(tight_api)
    await _until_status(tight_api, silence, 201)


async def _delete_all(api: Api) -> None:
    _, listing = await api.get("/v1/jobs", limit="200")
    for job in listing["jobs"]:
        async with api.session.delete(f"/v1/jobs/{job['id']}") as answer:
            assert answer.status == 204


async def _until_status(api: Api, path: Path, wanted: int) -> dict[str, Any]:
    """Upload until the answer has this status: how full the budget is, is believed for some seconds."""
    async with asyncio.timeout(20):
        while True:
            async with api.session.post("/v1/jobs", data=path.read_bytes(), headers=AUDIO) as answer:
                if answer.status == wanted:
                    assert wanted != 503 or int(answer.headers["Retry-After"]) > 0
                    return dict(await answer.json())
            await asyncio.sleep(0.5)


def _write_silence(path: Path, *, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * int(seconds * 16_000)))


async def _upload(api: Api, body: AsyncIterator[bytes], key: str) -> tuple[int, dict[str, Any]]:
    headers = {**AUDIO, "Idempotency-Key": key}
    async with api.session.post("/v1/jobs", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def _endless(data: bytes) -> AsyncIterator[bytes]:
    yield data
    await asyncio.Event().wait()


async def _held_back(data: bytes, released: asyncio.Event) -> AsyncIterator[bytes]:
    """Most of a recording at once, the last 200 kB as slowly as a server takes it until `released`."""
    yield data[:-200_000]
    for start in range(len(data) - 200_000, len(data), 2000):
        yield data[start : start + 2000]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                await released.wait()


async def _pieces(piece: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield piece
