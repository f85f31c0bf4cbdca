"""The container's process from start to end around an engine of paper: the stop, the drain, a fatal fault."""

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import soundfile

from services.contracts.inference import SAMPLE_RATE

PROGRAM = """
import asyncio, os, sys
from endpoint.server import serve
from endpoint.settings import EndpointSettings
from services.common.settings import load
from tests.paper_engine import PaperEngine

settings = load(EndpointSettings, os.environ)
sys.exit(asyncio.run(serve(settings, lambda _: PaperEngine(step_seconds=0.05, room=2))))
"""


class Container:
    """A running server and a client of it."""

    def __init__(self, process: Process, session: aiohttp.ClientSession) -> None:
        self.process = process
        self._session = session

    async def ping(self) -> int:
        async with self._session.get("/ping") as answer:
            return answer.status

    async def post(self, seconds: float, language: str = "en") -> tuple[int, str]:
        """Status, and the text or the error's code."""
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("audio", sound(seconds), filename="a.flac", content_type="audio/flac")
        form.add_field("options", json.dumps({"language": language}))
        async with self._session.post("/invocations", data=form) as answer:
            body = await answer.json()
            return answer.status, body["text"] if "text" in body else body["error"]["code"]

    async def metric(self, name: str) -> float:
        async with self._session.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"whisper_endpoint_{name} "))

    async def until(self, name: str, value: float) -> None:
        async with asyncio.timeout(20):
            while await self.metric(name) != value:
                pass

    async def until_ping(self, status: int) -> None:
        async with asyncio.timeout(20):
            while await self.ping() != status:
                pass


def sound(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * SAMPLE_RATE), np.float32), SAMPLE_RATE, format="FLAC")
    return file.getvalue()


@contextlib.asynccontextmanager
async def running(**settings: str) -> AsyncIterator[Container]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {
        "HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=os.environ | given | settings, stdout=PIPE, stderr=STDOUT
    )
    try:
        assert process.stdout
        async with asyncio.timeout(20):
            while b"model_ready" not in await process.stdout.readline():
                pass
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            container = Container(process, session)
            await container.until_ping(200)
            yield container
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_stop_in_the_middle_of_work_finishes_what_was_accepted() -> None:
    """Those in the batch and those waiting get their text; who comes later is told to go elsewhere."""
    async with running() as container:
        accepted = [asyncio.create_task(container.post(seconds)) for seconds in range(10, 16)]
        await container.until("in_progress_requests", 2)
        await container.until("waiting_requests", 4)
        container.process.send_signal(signal.SIGTERM)
        await container.until_ping(503)
        assert await container.post(1) == (503, "stopping")
        assert await asyncio.gather(*accepted) == [(200, f"{seconds}") for seconds in range(10, 16)]
        assert await asyncio.wait_for(container.process.wait(), 10) == 0


async def test_what_takes_longer_than_the_drain_is_told_so() -> None:
    async with running(DRAIN_SECONDS="0.3") as container:
        accepted = [asyncio.create_task(container.post(30)) for _ in range(3)]
        await container.until("in_progress_requests", 2)
        await container.until("waiting_requests", 1)
        container.process.send_signal(signal.SIGTERM)
        assert await asyncio.gather(*accepted) == [(503, "stopping")] * 3
        assert await asyncio.wait_for(container.process.wait(), 10) == 0


async def test_an_idle_container_stops_at_once() -> None:
    async with running() as container:
        container.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(container.process.wait(), 10) == 0


async def test_a_fault_of_the_engine_is_answered_and_ends_the_process() -> None:
    async with running() as container:
        outcomes = await asyncio.gather(
            container.post(30), container.post(1, "fatal"), container.post(30), container.post(30)
        )
        assert set(outcomes) == {(500, "model_error")}
        assert await asyncio.wait_for(container.process.wait(), 10) == 1
