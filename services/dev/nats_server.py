"""A nats-server with JetStream on loopback, for the local stack and the tests."""

import asyncio
import contextlib
import fcntl
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import aiohttp
import msgspec

from services.common.errors import Misconfigured
from services.dev.processes import free_port, stop

START_SECONDS = 30.0
"""One that knows its streams is there within a second; in a cluster it catches up first."""
SET_UP = Path(__file__).parents[2] / ".setup" / "nats-server"


def binary() -> str:
    """The nats-server that set-up chose, else the one on PATH."""
    if SET_UP.exists():
        return str(SET_UP)
    found = shutil.which("nats-server")
    if found is None:
        raise Misconfigured("nats-server 2.10 or newer is not installed: run `make setup`")
    return found


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A server's place in a cluster."""

    number: int
    route_ports: tuple[int, ...]
    """Where each server listens to the others."""

    def config(self) -> str:
        """The block that makes the server a member."""
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.route_ports)
        listen = f"127.0.0.1:{self.route_ports[self.number]}"
        return f'cluster {{ name: local, listen: "{listen}", routes: [{routes}] }}\n'


class NatsServer:
    """One server whose port and store outlive kill and restart."""

    def __init__(
        self,
        store: Path,
        port: int | None = None,
        *,
        max_store: str = "200GB",
        authorization: bytes = b"",
        member: Member | None = None,
    ) -> None:
        """`authorization` is the block of that name as JSON; without one everybody may do everything."""
        self.port = port or free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.monitor = free_port()
        self._store = store
        self._max_store = max_store
        self._authorization = authorization
        self._member = member
        self.name = "nats-server" if member is None else f"nats-server-{member.number + 1}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until JetStream answers."""
        self._store.mkdir(parents=True, exist_ok=True)
        config = self._store / "nats.conf"
        config.write_text(
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n'
            f'jetstream {{ store_dir: "{self._store}", max_file_store: {self._max_store}, max_mem: 256MB }}\n'
            'include "authorization.conf"\n' + (self._member.config() if self._member else "")
        )
        (self._store / "authorization.conf").write_bytes(self._authorization)
        with (self._store / "nats.log").open("ab") as output, (self._store / "lock").open("ab") as lock:
            self._claim(lock)
            self.process = await asyncio.create_subprocess_exec(
                binary(),
                "-c",
                str(config),
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(lock.fileno(),),  # it holds the lock for as long as it lives
                start_new_session=True,  # Ctrl-C must not take the broker from those who still finish
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self._healthy():
                if self.process.returncode is not None:
                    tail = (self._store / "nats.log").read_text()[-500:]
                    raise Misconfigured(f"nats-server did not start on port {self.port}: {tail}")
                await asyncio.sleep(0.05)

    def _claim(self, lock: IO[bytes]) -> None:
        """Two servers on one store would ruin it."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Misconfigured(
                f"another nats-server works on {self._store}: stop that stack, or set WHISPER_DATA to "
                "another folder"
            ) from error

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> None:
        """End it in good order."""
        if self.process:
            await stop(self.process)

    async def _healthy(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=1)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{self.monitor}/healthz") as answer,
            ):
                return answer.status == 200
        return False


@contextlib.asynccontextmanager
async def nats_server(
    store: Path, port: int | None = None, *, authorization: bytes = b""
) -> AsyncIterator[NatsServer]:
    """A running server that ends with the context; its data stays in `store`."""
    server = NatsServer(store, port, authorization=authorization)
    await server.start()
    try:
        yield server
    finally:
        await asyncio.shield(server.stop())


@contextlib.asynccontextmanager
async def nats_servers(
    store: Path, count: int, *, authorization: bytes = b""
) -> AsyncIterator[list[NatsServer]]:
    """One running server, or a cluster of several, that end with the context."""
    ports = tuple(free_port() for _ in range(count))
    members = [Member(number=number, route_ports=ports) for number in range(count)]
    servers = (
        [
            NatsServer(store / str(member.number), authorization=authorization, member=member)
            for member in members
        ]
        if count > 1
        else [NatsServer(store, authorization=authorization)]
    )
    try:
        await asyncio.gather(*(server.start() for server in servers))
        yield servers
    finally:
        await asyncio.shield(asyncio.gather(*(server.stop() for server in servers)))
