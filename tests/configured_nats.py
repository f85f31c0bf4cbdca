"""A nats-server run from a whole configuration file, as Kubernetes runs it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from services.dev.nats_server import binary
from services.dev.processes import stop

START_SECONDS = 90.0


class ConfiguredNats:
    """One server; its port for probes stands in the configuration as well as here."""

    def __init__(self, config: Path, *, monitor: int, environ: Mapping[str, str] | None = None) -> None:
        self.config = config
        self.log = config.with_suffix(".log")
        self._monitor = f"http://127.0.0.1:{monitor}"
        self.environ = {**os.environ, **(environ or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def checked(self) -> str:
        """What `nats-server -t` says of the configuration."""
        process = await asyncio.create_subprocess_exec(
            binary(), "-t", "-c", str(self.config),
            env=self.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return said.decode()

    async def start(self) -> None:
        """Start; `until_healthy` tells when it is there."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                binary(), "-c", str(self.config), env=self.environ, stdout=output, stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip

    async def until_healthy(self, query: str = "") -> None:
        """Wait for a probe to be answered with 200."""
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
            while not await self._answers(session, query):
                assert self._process is not None
                assert self._process.returncode is None, self.log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def monitored(self, path: str) -> Any:
        """What the monitoring says, which is JSON."""
        async with aiohttp.ClientSession() as session, session.get(self._monitor + path) as answer:
            return await answer.json()

    async def _answers(self, session: aiohttp.ClientSession, query: str) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self._monitor}/healthz{query}") as answer:
                return answer.status == 200
        return False

    def signal(self, number: int) -> None:
        """Tell it something."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        await self._process.wait()

    async def stop(self) -> None:
        """End it in good order, if it runs."""
        if self._process is not None:
            await stop(self._process)


@contextlib.asynccontextmanager
async def running(*servers: ConfiguredNats) -> AsyncIterator[None]:
    """Servers that run and are healthy, and end with the context."""
    try:
        await asyncio.gather(*(server.start() for server in servers))
        await asyncio.gather(*(server.until_healthy() for server in servers))
        yield
    finally:
        await asyncio.gather(*(server.stop() for server in servers))
