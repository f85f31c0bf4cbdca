"""SIGTERM to the model's container, the one that earlier tests shared: what it has accepted it finishes."""

import asyncio
import signal
from pathlib import Path

import aiohttp

from services.contracts.inference import SAMPLE_RATE
from tests import speech
from tests.container import Container


async def test_a_stop_finishes_what_was_accepted(container: Container, tmp_path: Path) -> None:
    speech.recording(tmp_path / "chunk.wav", count=4, seed=1, rate=SAMPLE_RATE)
    accepted = [asyncio.create_task(container.transcribe(tmp_path / "chunk.wav")) for _ in range(4)]
    await busy(container, in_progress=2, waiting=2)
    container.process.send_signal(signal.SIGTERM)
    results = await asyncio.gather(*accepted)
    assert await asyncio.to_thread(container.process.wait, 30) == 0
    assert len({result.text for result in results}) == 1


async def busy(container: Container, **requests: int) -> None:
    """Until that many requests are in the batch, and wait for a place in it."""
    wanted = {f"whisper_endpoint_{state}_requests {count}.0" for state, count in requests.items()}
    async with asyncio.timeout(10), aiohttp.ClientSession(container.url) as session:
        while True:
            async with session.get("/metrics") as answer:
                if wanted <= set((await answer.text()).splitlines()):
                    return
