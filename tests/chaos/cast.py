"""The processes of a whole system, each known by its name, killed and started again as Kubernetes would."""

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import msgspec
import psutil

from services.dev.local import BUNDLED_MODEL, Stack, StackOptions, local_stack
from services.dev.processes import free_port
from services.dev.supervisor import Program

BROKER = "nats-server"
ENDPOINT = "endpoint"
USERS = {"admin": "a good password", "other": "another password"}
MARK = "WHISPER_CHAOS_RUN"
"""Environment variable that every process of a run has."""
READY_SECONDS = 120.0
JANITOR_SECONDS = 5.0

REPLICAS = {"auth": 2, "gateway": 3, "chunker": 3, "transcriber": 2}
QUICK_TO_NOTICE = {
    "LOG_LEVEL": "warning",
    "UPLOAD_SILENCE_SECONDS": "15",
    "REDRIVE_SECONDS": "40",
    "ORPHAN_SECONDS": "20",
    "JANITOR_SECONDS": str(JANITOR_SECONDS),
    "AUDIO_RETENTION_SECONDS": "0",
    "TRANSCRIBER_SLOTS": "4",
}
"""Settings that make the same things happen sooner, so that a run takes minutes."""


class Casting(msgspec.Struct, frozen=True, kw_only=True):
    """Which processes there are, and how long the endpoint takes for a chunk."""

    replicas: Mapping[str, int] = msgspec.field(default_factory=lambda: dict(REPLICAS))
    endpoint_seconds: float = 1.0
    endpoint_capacity: int = 4
    brokers: int = 1
    model: bool = False
    """The real model's container in place of the stand-in."""
    parked: frozenset[str] = frozenset()
    """As in `StackOptions`."""
    environ: Mapping[str, str] = {}
    environ_of: Mapping[str, Mapping[str, str]] = {}
    """Settings of one process, by its name."""
    under: Mapping[str, tuple[str, ...]] = {}
    """As in `StackOptions`."""


class Cast:
    """A running system."""

    def __init__(self, stack: Stack, mark: str, folder: Path) -> None:
        self.stack = stack
        self.mark = mark
        self.folders = (folder / "tmp", folder / "spool")
        """Where its processes put their temporary files."""
        self.kills: Counter[str] = Counter()
        """By kind of process."""
        self.ever: set[int] = set()
        """Ids of all processes that were killed or replaced."""
        self._brokers = {server.name: server for server in stack.brokers}
        self._revivals: dict[str, asyncio.Task[None]] = {}

    def names(self) -> tuple[str, ...]:
        """Every process that may be killed, up or not."""
        services = {*self.stack.supervisor.names(), *self._revivals} - self._brokers.keys()
        return (*self._brokers, *sorted(services))

    def pids(self) -> dict[str, int]:
        """Process ids of what is up, by name."""
        supervisor = self.stack.supervisor
        brokers = {name: server.process.pid for name, server in self._brokers.items() if server.process}
        return {**{name: supervisor.pid(name) for name in supervisor.names()}, **brokers}

    async def kill(self, name: str, down_seconds: float) -> None:
        """kill -9; it comes back after `down_seconds`, by itself."""
        await self.up(name)
        await self._ended(name)
        self.kills[kind(name)] += 1
        self._revivals[name] = asyncio.create_task(self._revived(name, down_seconds))

    async def kill_brokers(self, down_seconds: float) -> None:
        """kill -9 for all servers of NATS at the same moment."""
        for name in self._brokers:
            await self.up(name)
        await asyncio.gather(*(self.kill(name, down_seconds) for name in self._brokers))

    async def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP: it answers nobody for so long, and its connections stay."""
        await self.up(name)
        process = psutil.Process(self.pids()[name])
        process.suspend()
        self._revivals[name] = asyncio.create_task(_thawed(process, seconds))

    async def replace(self, name: str, grace_seconds: float) -> int:
        """SIGTERM, wait for the end, start another; the exit code. Raises `TimeoutError` after the grace."""
        if name in self._brokers:
            self.stack.supervisor.forget(name)
            process = self._brokers[name].process
        else:
            process = self.stack.supervisor.release(name)
        assert process is not None
        self.ever.add(process.pid)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(grace_seconds):
            code = await process.wait()
        await self._revived(name, 0.0)
        return code

    async def up(self, name: str) -> None:
        """Wait until a killed process is started again."""
        revival = self._revivals.pop(name, None)
        if revival is not None:
            await revival

    async def ready(self) -> None:
        """Wait until everything is up and takes work."""
        for name in tuple(self._revivals):
            await self.up(name)
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            for base in self.stack.metrics.values():
                while not await _is_ready(session, base):  # noqa: ASYNC110  # no event to await
                    await asyncio.sleep(0.1)

    async def close(self) -> None:
        """Revive nobody any more."""
        for revival in self._revivals.values():
            revival.cancel()  # one that was frozen is thawed by that
        await asyncio.gather(*self._revivals.values(), return_exceptions=True)

    async def _ended(self, name: str) -> None:
        self.ever.add(self.pids()[name])
        if name in self._brokers:
            self.stack.supervisor.forget(name)
            await self._brokers[name].kill()
        else:
            await self.stack.supervisor.kill(name)

    async def _revived(self, name: str, down_seconds: float) -> None:
        await asyncio.sleep(down_seconds)
        if (server := self._brokers.get(name)) is not None:
            await server.start()
            assert server.process is not None
            self.stack.supervisor.watch(name, server.process)
        else:
            await self.stack.supervisor.revive(name)


async def _thawed(process: psutil.Process, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        process.resume()


def kind(name: str) -> str:
    """What a process is, whichever replica."""
    service, _, number = name.rpartition("-")
    return service if number.isdigit() else name


@contextlib.asynccontextmanager
async def cast(folder: Path, casting: Casting, *, runtime_url: str | None = None) -> AsyncIterator[Cast]:
    """Start everything with its data below `folder`, and end it with the context.

    `runtime_url` is an endpoint that the caller runs, and that is none of the cast.
    """
    mark = uuid.uuid4().hex
    port = free_port()
    for name in ("tmp", "spool"):
        (folder / name).mkdir(parents=True)
    environ = {
        **QUICK_TO_NOTICE,
        MARK: mark,
        "TMPDIR": str(folder / "tmp"),
        "SPOOL_DIRECTORY": str(folder / "spool"),
        **casting.environ,
    }
    [(username, password), *more_users] = USERS.items()
    options = StackOptions(
        data=folder,
        port=free_port(),
        username=username,
        password=password,
        more_users=dict(more_users),
        replicas=casting.replicas,
        parked=casting.parked,
        brokers=casting.brokers,
        environ=environ,
        environ_of=casting.environ_of,
        under=casting.under,
        model=str(BUNDLED_MODEL),
        runtime_url=None if casting.model else runtime_url or f"http://127.0.0.1:{port}",
    )
    async with local_stack(options, lambda _sentence: None) as stack:
        if not casting.model and runtime_url is None:
            await stack.supervisor.start(
                stand_in_program(port, casting.endpoint_seconds, casting.endpoint_capacity, environ)
            )
        running = Cast(stack, mark, folder)
        try:
            yield running
        finally:
            await running.close()


def stand_in_program(
    port: int,
    seconds: float,
    capacity: int,
    environ: Mapping[str, str] | None = None,
    *,
    characters: int = 16,
) -> Program:
    """The stand-in endpoint as a process."""
    numbers = (port, seconds, capacity, characters)
    return Program(
        name=ENDPOINT,
        arguments=(sys.executable, "-m", "tests.chaos.endpoint", *map(str, numbers)),
        environ={**os.environ, **(environ or {})},
    )


async def _is_ready(session: aiohttp.ClientSession, base: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"{base}/readyz", timeout=aiohttp.ClientTimeout(total=5)) as answer:
            return answer.status == 200
    return False
