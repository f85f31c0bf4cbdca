"""Room on disk for files that must be there whole before they can be decoded."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from services.chunker import problems
from services.common.errors import StorageFull

RETRY_SECONDS = 30.0
"""Other jobs' files are gone again within minutes."""


class Spool:
    """A directory for unlinked temporary files, with one byte budget for all of them."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self.used_bytes = 0

    @asynccontextmanager
    async def filled(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[IO[bytes]]:
        """A file with all of `pieces`, at its beginning; it has no name and goes with the context.

        Raises `BadRecording` where it alone exceeds the budget, `StorageFull` where others use it up.
        """
        file = await asyncio.to_thread(self._new)
        written = 0
        try:
            async for piece in pieces:
                self._claim(written, len(piece))
                written += len(piece)
                await asyncio.to_thread(_write, file, piece)
            await asyncio.to_thread(file.seek, 0)
            yield file
        finally:
            self.used_bytes -= written
            await asyncio.to_thread(file.close)

    def _new(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._directory, buffering=0)

    def _claim(self, written: int, more: int) -> None:
        if written + more > self._limit:
            raise problems.BadRecording(problems.spool_too_small(self._limit))
        if self.used_bytes + more > self._limit:
            raise StorageFull("no room for files with their index at the end", retry_after=RETRY_SECONDS)
        self.used_bytes += more


def _write(file: IO[bytes], piece: bytes) -> None:
    try:
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise StorageFull(f"the spool cannot be written: {error}", retry_after=RETRY_SECONDS) from error
