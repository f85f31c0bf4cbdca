"""Readers in processes of their own, so that what they cost is not the server's."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from bench.load.reader_process import Crowd, Seen
from services.dev.local import ROOT
from services.dev.processes import child

READERS_IN_A_PROCESS = 1000
OPEN_SECONDS = 300.0
REPORT_SECONDS = 60.0


class Readers:
    """All of them, already reading."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process], folder: Path) -> None:
        self._processes = processes
        self._folder = folder

    async def seen(self) -> list[Seen]:
        """What each has seen until now."""
        found = await asyncio.gather(*map(self._report, self._processes))
        return [one for part in found for one in part]

    async def _report(self, process: asyncio.subprocess.Process) -> list[Seen]:
        file = self._folder / str(process.pid)
        await _said(process, f"report {file}\n".encode(), b"done", REPORT_SECONDS)
        return msgspec.msgpack.decode(await asyncio.to_thread(file.read_bytes), type=list[Seen])


@contextlib.asynccontextmanager
async def reading(port: int, token: str, paths: Sequence[str]) -> AsyncIterator[Readers]:
    """A reader for each path, each with its first event."""
    parts = [
        paths[start : start + READERS_IN_A_PROCESS] for start in range(0, len(paths), READERS_IN_A_PROCESS)
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = (sys.executable, "-m", "bench.load.reader_process")
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        processes = [
            await stack.enter_async_context(
                child(
                    arguments, environ=environ, output=asyncio.subprocess.PIPE, source=asyncio.subprocess.PIPE
                )
            )
            for _ in parts
        ]
        crowds = [Crowd(port=port, token=token, paths=tuple(part)) for part in parts]
        await asyncio.gather(
            *(
                _said(process, msgspec.json.encode(crowd) + b"\n", b"open", OPEN_SECONDS)
                for process, crowd in zip(processes, crowds, strict=True)
            )
        )
        yield Readers(processes, folder)


async def _said(process: asyncio.subprocess.Process, line: bytes, answer: bytes, seconds: float) -> None:
    """Write a line and wait for its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line)
    async with asyncio.timeout(seconds):
        said = await process.stdout.readline()
    if said.strip() != answer:
        raise RuntimeError(f"a reader process said {said!r} instead of {answer!r}")
