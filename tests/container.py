"""The model's container as a process of its own, and sound at its rate."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec

from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult
from tests import speech

ROOT = Path(__file__).parents[1]
MODEL = ROOT / ".setup/models/whisper-duo"
START_SECONDS = 90


class Container:
    """A running server process."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        settings = {
            "WHISPER_MODEL": str(MODEL),
            "HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": self.url.rpartition(":")[2],
            "TORCH_THREADS": "1",
            "PYTHON": sys.executable,
        }
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [ROOT / "sagemaker/serve"], env=os.environ | settings, stdout=output, stderr=output
            )

    def await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=5):  # noqa: S310  # our own http URL
                    return
            except OSError:  # refused, or 503
                time.sleep(0.05)
        raise AssertionError(f"the container did not get ready:\n{self._log.read_text()}")

    async def transcribe(self, audio: Path, options: InferenceOptions | None = None) -> InferenceResult:
        status, body = await self.post(audio, options or InferenceOptions())
        assert status == 200, body
        return msgspec.json.decode(body, type=InferenceResult)

    async def post(self, audio: Path, options: InferenceOptions) -> tuple[int, bytes]:
        form = aiohttp.FormData(default_to_multipart=True)
        sound = await asyncio.to_thread(audio.read_bytes)
        form.add_field("audio", sound, filename=audio.name, content_type="audio/wav")
        form.add_field("options", msgspec.json.encode(options).decode(), content_type="application/json")
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.post("/invocations", data=form) as answer,
        ):
            return answer.status, await answer.read()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Container]:
    """A container for as long as the context is open; it has to end well."""
    container = Container(folder / "log")
    try:
        container.await_ready()
        yield container
    finally:
        container.process.terminate()
        status = container.process.wait(30)
    assert status == 0


def said(text: str, path: Path) -> Path:
    """Speech at the container's own rate."""
    loud = path.with_suffix(".22k.wav")
    speech.speak(text, loud)
    # espeak-ng begins with the first sound, where the model hears badly
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(loud), "-af", "adelay=200"]
    subprocess.run([*command, "-ar", str(SAMPLE_RATE), str(path)], check=True)
    return path
