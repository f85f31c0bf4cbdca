"""moto's server on loopback: a stand-in for AWS Secrets Manager that keeps everything in memory."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable

import aiohttp

from services.common.errors import Misconfigured
from services.dev.processes import child, free_port

START_SECONDS = 30.0
"""It answers after 1 to 2 s, later where every core is busy."""

Started = Callable[[asyncio.subprocess.Process], None]


def _nobody_told(_process: asyncio.subprocess.Process) -> None:
    pass


@contextlib.asynccontextmanager
async def moto_server(port: int | None = None, *, started: Started = _nobody_told) -> AsyncIterator[str]:
    """The URL of a running server, which ends with the context; `started` is told its process."""
    port = port or free_port()
    arguments = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    async with child(arguments, environ=os.environ, output=asyncio.subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(url):
                    if process.returncode is not None:
                        raise Misconfigured(f"moto did not start: exit code {process.returncode}")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise Misconfigured(f"moto did not answer on {url} within {START_SECONDS:.0f} s") from error
        started(process)
        yield url


async def _answers(url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        timeout = aiohttp.ClientTimeout(total=2)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/moto-api/") as answer,
        ):
            return answer.status == 200
    return False
