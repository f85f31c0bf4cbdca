"""A sound file and a web server on loopback that nobody may ever touch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from services.contracts.inference import SAMPLE_RATE
from tests.fuzz.bombs import wav


class Canary(msgspec.Struct, frozen=True):
    """Where they are, and who came."""

    file: Path
    url: str
    visits: list[str]
    """First line of each."""


@contextlib.asynccontextmanager
async def canary(folder: Path) -> AsyncIterator[Canary]:
    """Both, while the context is open."""
    visits: list[str] = []

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((await reader.readline()).decode(errors="replace"))
        writer.close()

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "canary.wav"
    file.write_bytes(wav(rate=SAMPLE_RATE, channels=1, data=bytes(9 * SAMPLE_RATE)))
    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with server:
        yield Canary(file, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/canary.wav", visits)
