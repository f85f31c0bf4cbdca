"""Child processes of the local stack: free ports, start, stop by pid, and never one left behind."""

import asyncio
import contextlib
import itertools
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog

log = structlog.get_logger()

TERM_SECONDS = 4.0
PORTS = range(20_000, 32_000)
"""Below those that Linux takes for outgoing connections."""
_places = itertools.count(secrets.randbelow(len(PORTS)))


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now, and that nobody here was given lately.

    None of those that outgoing connections get: a process that is started again finds its port free.
    """
    while True:
        port = PORTS[next(_places) % len(PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def stop(process: asyncio.subprocess.Process, *, seconds: float = TERM_SECONDS) -> None:
    """SIGTERM, then SIGKILL for what is still there after `seconds`."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def child(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    output: int | None = None,
    source: int = asyncio.subprocess.DEVNULL,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is gone when the context closes."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env=dict(environ),
        stdin=source,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C in the terminal reaches us alone
    )
    try:
        yield process
    finally:
        await asyncio.shield(stop(process))
