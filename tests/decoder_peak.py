"""`python -m tests.decoder_peak BOMB ...`: how decoders take these files, and how large the largest becomes.

It is a process of its own: a child counts as large as its parent is until it becomes another program.
"""

import asyncio
import resource
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from services.chunker.decode import decoded
from services.chunker.problems import BadRecording
from services.chunker.spool import Spool
from tests.commands import run_python
from tests.decoder import limits_with
from tests.fuzz.bombs import small_bombs

MIB = 1024**2
PIECE_BYTES = 65_536


class Peak(msgspec.Struct, frozen=True):
    """What was found."""

    codes: dict[str, str | None]
    """The problem of each file, None for none."""
    bytes: int
    """The most memory that one decoder had."""


async def peak_of(*bombs: str) -> Peak:
    """Decode them elsewhere, one after the other."""
    status, out, err = await run_python("-m", "tests.decoder_peak", *bombs)
    assert status == 0, err
    return msgspec.json.decode(out, type=Peak)


async def _code(data: bytes, folder: Path) -> str | None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]

    limits, spool = limits_with(duration_seconds=3600), Spool(folder, 100 * MIB)
    try:
        async with asyncio.timeout(60), decoded(pieces(), limits, spool) as decoding:
            async for _ in decoding.blocks():
                pass
    except BadRecording as refusal:
        return refusal.code
    return decoding.problem.code if decoding.problem else None


def main() -> None:
    """Print the peak as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        bombs = small_bombs()
        codes = {name: asyncio.run(_code(bombs[name], Path(folder))) for name in sys.argv[1:]}
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    sys.stdout.buffer.write(msgspec.json.encode(Peak(codes, largest)))


if __name__ == "__main__":
    main()
