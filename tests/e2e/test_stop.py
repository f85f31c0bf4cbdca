"""`make run` in a terminal: Ctrl-C ends all of it in time, and a process that dies is named."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.dev.local import BUNDLED_MODEL, ROOT
from services.dev.processes import free_port
from tests.api import Api, logged_in
from tests.speech import recording

STOP_SECONDS = 12.0
"""It takes 2 to 5 s; other tests share the machine."""
READY_SECONDS = 90.0


class Running:
    """`python -m services.dev` as the leader of a process group, as a shell would start it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.family = psutil.Process(process.pid).children(recursive=True)

    def member(self, name: str) -> psutil.Process:
        [found] = [one for one in self.family if name in " ".join(one.cmdline())]
        return found

    async def gone(self) -> float:
        """Seconds until the stack and the last process of its family have ended."""
        started = time.monotonic()
        async with asyncio.timeout(20):
            await self.process.wait()
        _, left = await asyncio.to_thread(psutil.wait_procs, self.family, 10)
        assert not left
        return time.monotonic() - started


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    port = free_port()
    environ = {
        **os.environ,
        "PORT": str(port),
        "WHISPER_DATA": str(tmp_path),
        "WHISPER_PASSWORD": "pw",
        "WHISPER_MODEL": str(BUNDLED_MODEL),
    }
    with (tmp_path / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.dev",
            env=environ,
            cwd=ROOT,
            start_new_session=True,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            assert b"Ready" in await process.stdout.readline(), (tmp_path / "output").read_text()[-2000:]
        yield Running(process, f"http://127.0.0.1:{port}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp3"
    recording(path, seconds=300, seed=31)
    return path


@pytest.mark.timeout(150)
async def test_ctrl_c_ends_everything_while_it_works(running: Running, talk: Path) -> None:
    """The terminal signals the whole group; a job, an upload and a reader of events are under way."""
    async with logged_in(running.url, "admin", "pw") as api, asyncio.TaskGroup() as group:
        _, job = await api.submit(talk)
        events = group.create_task(_until_first_text(api, job["id"], reading := asyncio.Event()))
        uploading = group.create_task(_endless_upload(api, talk.read_bytes()))
        async with asyncio.timeout(60):
            await reading.wait()

        os.killpg(running.process.pid, signal.SIGINT)
        seconds = await running.gone()

    assert running.process.returncode == 0
    assert seconds < STOP_SECONDS
    assert uploading.result()["error"]["code"] == "upload_interrupted"
    assert events.result() != "end"


@pytest.mark.timeout(150)
async def test_a_process_that_dies_is_named_and_ends_the_rest(running: Running, tmp_path: Path) -> None:
    running.member("nats-server").kill()

    assert await running.gone() < 15
    assert running.process.returncode == 1
    assert "nats-server ended with exit code -9" in (tmp_path / "output").read_text()


async def _until_first_text(api: Api, job: str, reading: asyncio.Event) -> str:
    """Read until the stream ends; the name of its last event."""
    name = ""
    async for event in api.events(job):
        name = event.name
        if name == "text":
            reading.set()
    return name


async def _endless_upload(api: Api, data: bytes) -> dict[str, dict[str, str]]:
    async def body() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        await asyncio.Event().wait()

    async with api.session.post("/v1/jobs", data=body(), headers={"Content-Type": "audio/mpeg"}) as answer:
        return dict(await answer.json())
