"""A wall clock that jumps a day, forth and back, in each of our processes while they work."""

import asyncio
import io
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.common.bus import connect
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.topology import MINIMUM_SERVER, Stream
from services.dev.processes import free_port
from services.gateway.cookies import NAME
from tests.api import Api, Event, logged_in
from tests.chaos import nuisances
from tests.chaos.cast import stand_in_program
from tests.chaos.clocks import AHEAD, BEHIND, RIGHT, Clocks
from tests.chaos.metrics import metric
from tests.speech import recording
from tests.stack_thread import StackThread

VICTIMS = ("auth", "gateway", "chunker", "transcriber")
RETENTION_SECONDS = 43_200
"""Half a day: a clock that is a day ahead would say that it is over."""
HOUR_SECONDS = 3600
"""More than any job here takes, and less than any jump."""
ROUNDS = "whisper_janitor_rounds_total"
JUMPS = [(victim, offset) for victim in VICTIMS for offset in (AHEAD, BEHIND, RIGHT)]


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Clocks:
    return Clocks(tmp_path_factory.mktemp("clocks") / "files", VICTIMS)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, clocks: Clocks) -> Iterator[StackThread]:
    """Everything, the services with clocks of their own, and an endpoint that takes its time."""
    port = free_port()
    running = StackThread(
        tmp_path_factory.mktemp("stack"),
        runtime_url=f"http://127.0.0.1:{port}",
        environ_of=clocks.environ_of(),
        environ={
            "JANITOR_SECONDS": "1",
            "AUDIO_RETENTION_SECONDS": str(RETENTION_SECONDS),
            "TEXT_RETENTION_SECONDS": str(RETENTION_SECONDS),
        },
    ).start()
    running.do(running.stack.supervisor.start(stand_in_program(port, seconds=0.2, capacity=1)))
    yield running
    running.stop()


@pytest.fixture
async def api(stack: StackThread) -> AsyncIterator[Api]:
    async with logged_in(stack.url, stack.username, stack.password) as api:
        yield api


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("note") / "note.mp3"
    recording(path, seconds=20, seed=6)
    return path


@pytest.mark.parametrize(
    ("seconds", "times"),
    [
        pytest.param(150, 1, marks=pytest.mark.timeout(120)),
        pytest.param(1500, 10, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
async def test_a_job_is_the_same_through_jumps_in_every_process(
    api: Api, clocks: Clocks, tmp_path: Path, seconds: int, times: int
) -> None:
    talk = tmp_path / "talk.mp3"
    recording(talk, seconds=seconds, seed=5)
    _, calm = await api.submit(talk)
    await api.finished(calm["id"])
    _, job = await api.submit(talk)
    left = JUMPS * times
    seen: list[Event] = []
    told: list[float] = []
    async for event in api.events(job["id"]):  # one connection: an open stream minds no clock
        seen += [event] if event.id is not None else []
        told += [event.data["seconds_left"] or 0.0] if event.name == "job" else []
        if left:
            clocks.set(*left.pop(0))
    assert left == []
    assert seen == await api.finished(job["id"])
    assert await _transcript(api, job["id"]) == await _transcript(api, calm["id"])
    assert 0 < max(told) < HOUR_SECONDS
    shown = await api.job(job["id"])
    dates = [datetime.fromisoformat(shown[name]) for name in ("created_at", "started_at", "ended_at")]
    assert dates == sorted(dates)
    assert (dates[-1] - dates[0]).total_seconds() < HOUR_SECONDS
    if times > 1:
        nuisances.keep("clocks", len(JUMPS) * times, "the same transcript, every event once")


@pytest.mark.timeout(120)
async def test_a_gateway_a_day_ahead_erases_nothing_and_starts_nothing_early(
    stack: StackThread, api: Api, clocks: Clocks, note: Path
) -> None:
    """Not the audio and text of a job that has ended, nor an upload that only its age could call dead."""
    _, kept = await api.submit(note)
    await api.finished(kept["id"])
    halfway, rest = asyncio.Event(), asyncio.Event()
    key = str(uuid.uuid4())
    uploading = asyncio.create_task(_options_last(api, note.read_bytes(), key, halfway, rest))
    await halfway.wait()
    job = await api.find(key)
    cookie = await _refresh_token(stack)  # it outlives a day; the access token does not
    with clocks.wrong("gateway", AHEAD):
        await _rounds(stack, 3)
        assert await _repeated(stack, note, key, cookie) == 409
    with clocks.wrong("gateway", BEHIND):
        await _rounds(stack, 3)
        assert await _stored(stack, Stream.CTL, topology.work("*", "*", run_id(job, 0))) == 0
        rest.set()
        stored = await uploading

    assert (stored["id"], stored["upload"]["state"], stored["options"]["language"]) == (job, "stored", "en")
    assert (await api.finished(job))[-1].data["status"] == "completed"
    assert await _stored(stack, Stream.UP, topology.part(run_id(kept["id"], 0))) > 0
    assert await _transcript(api, kept["id"]) == await _transcript(api, job)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("offset", "said"), [(AHEAD, "from the future"), (BEHIND, "has expired")])
async def test_auths_wrong_clock_opens_no_session_and_ends_none(
    stack: StackThread, api: Api, clocks: Clocks, offset: str, said: str
) -> None:
    with clocks.wrong("auth", offset):
        status, body = await _me(stack, await _access_token(stack))
        assert (await api.get("/v1/me"))[0] == 200
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    assert said in body["error"]["message"]
    assert (await _me(stack, await _access_token(stack)))[0] == 200


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("offset", "said"), [(AHEAD, "has expired"), (BEHIND, "from the future")])
async def test_a_gateways_wrong_clock_refuses_tokens_until_it_is_right(
    stack: StackThread, api: Api, clocks: Clocks, offset: str, said: str
) -> None:
    with clocks.wrong("gateway", offset):
        status, body = await api.get("/v1/me")
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    assert said in body["error"]["message"]
    assert (await api.get("/v1/me"))[0] == 200


async def _transcript(api: Api, job: str) -> dict[str, Any]:
    status, body = await api.get(f"/v1/jobs/{job}/transcript", format="json")
    assert status == 200, body
    del body["id"]
    return dict(body)


async def _options_last(
    api: Api, data: bytes, key: str, halfway: asyncio.Event, rest: asyncio.Event
) -> dict[str, Any]:
    """Send a form whose options follow the file, and pause in the middle of the file."""

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        halfway.set()
        await rest.wait()
        yield data[len(data) // 2 :]

    form = aiohttp.FormData()
    form.add_field("file", pieces(), filename="note.mp3", content_type="audio/mpeg")
    form.add_field("language", "en")
    async with api.session.post("/v1/jobs", data=form, headers={"Idempotency-Key": key}) as answer:
        assert answer.status == 201, await answer.text()
        return dict(await answer.json())


async def _rounds(stack: StackThread, count: int) -> None:
    """Wait until the janitor has begun and ended so many rounds."""
    base = stack.stack.metrics["gateway"]
    before = await metric(base, ROUNDS)
    async with asyncio.timeout(60):
        while await metric(base, ROUNDS) < before + count:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.1)


async def _repeated(stack: StackThread, path: Path, key: str, cookie: str) -> int:
    """The status of one more upload under the same key."""
    headers = {"Idempotency-Key": key, "Cookie": f"{NAME}={cookie}", "Content-Type": "audio/mpeg"}
    async with (
        aiohttp.ClientSession(stack.url) as session,
        session.post("/v1/jobs", data=io.BytesIO(path.read_bytes()), headers=headers) as answer,
    ):
        return answer.status


async def _stored(stack: StackThread, stream: Stream, subjects: str) -> int:
    async with connect(stack.stack.operator, "operator", MINIMUM_SERVER) as bus:
        return sum((await bus.subjects(stream, subjects)).values())


async def _login(stack: StackThread) -> dict[str, Any]:
    credentials = {"username": stack.username, "password": stack.password}
    async with (
        aiohttp.ClientSession(stack.url) as session,
        session.post("/login", json=credentials) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


async def _access_token(stack: StackThread) -> str:
    return str((await _login(stack))["access_token"])


async def _refresh_token(stack: StackThread) -> str:
    return str((await _login(stack))["refresh_token"])


async def _me(stack: StackThread, token: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(stack.url, headers=headers) as session, session.get("/v1/me") as answer:
        return answer.status, dict(await answer.json())
