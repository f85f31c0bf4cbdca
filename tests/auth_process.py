"""The auth service as a process of its own, with moto in the place of AWS, for tests."""

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import msgspec
import pytest_asyncio

from services.auth.secrets import CURRENT, Secrets, open_secrets
from services.common.bus import Bus
from services.contracts import topology
from services.contracts.claims import AuthReply, AuthRequest
from services.dev.moto_server import moto_server
from services.dev.processes import child, free_port

REGION = "cn-northwest-1"
READY_SECONDS = 30.0
REPLY: msgspec.json.Decoder[AuthReply] = msgspec.json.Decoder(AuthReply)


class Aws(msgspec.Struct, frozen=True):
    """A Secrets Manager, and the names of a test's own secrets in it."""

    url: str
    accounts: str = msgspec.field(default_factory=lambda: f"accounts-{uuid.uuid4().hex}")
    keys: str = msgspec.field(default_factory=lambda: f"keys-{uuid.uuid4().hex}")

    @contextlib.asynccontextmanager
    async def secrets(self) -> AsyncIterator[Secrets]:
        """A client."""
        async with open_secrets(
            REGION, endpoint_url=self.url, aws_access_key_id="test", aws_secret_access_key="test"
        ) as secrets:
            yield secrets

    async def create_accounts(self, accounts: Mapping[str, object]) -> None:
        """Make the secret that holds the accounts."""
        async with self.secrets() as secrets:
            await secrets.create(self.accounts, json.dumps(accounts), "test")

    async def change_accounts(self, text: str) -> None:
        """Give that secret a new current version."""
        async with self.secrets() as secrets:
            await secrets.put(self.accounts, text, CURRENT)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def secrets_url() -> AsyncIterator[str]:
    """Where moto's server answers; it is shared, so that each test names secrets of its own."""
    async with moto_server() as url:
        yield url


def auth_environ(nats_url: str, aws: Aws, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of an auth process; unknown users make it read again at once."""
    return {
        **os.environ,
        "NATS_URL": nats_url,
        "HOST": "127.0.0.1",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.url,
        "SECRET_NAME": aws.accounts,
        "SIGNING_SECRET_NAME": aws.keys,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SECRET_REFRESH_SECONDS": "0",
        **settings,
    }


@contextlib.asynccontextmanager
async def auth_process(
    nats_url: str, aws: Aws, settings: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m services.auth`, ready to answer."""
    async with starting_auth(nats_url, aws, settings) as (process, ready):
        await ready()
        yield process


@contextlib.asynccontextmanager
async def starting_auth(
    nats_url: str, aws: Aws, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Callable[[], Awaitable[None]]]]:
    """The same, and how to wait until it is ready."""
    port = free_port()
    environ = auth_environ(nats_url, aws, {**(settings or {}), "METRICS_PORT": str(port)})
    async with child((sys.executable, "-m", "services.auth"), environ=environ) as process:

        async def ready() -> None:
            async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
                while not await _ready(session, port):
                    assert process.returncode is None, "the auth service ended"
                    await asyncio.sleep(0.05)

        yield process, ready


async def _ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def auth_command(
    aws: Aws, *arguments: str, typed: str = "", nats_url: str = "nats://127.0.0.1:1"
) -> tuple[int | None, str]:
    """Exit code and output of `python -m services.auth <arguments>`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.auth",
        *arguments,
        env=auth_environ(nats_url, aws, {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(typed.encode())
    return process.returncode, said.decode()


async def ask(bus: Bus, request: AuthRequest) -> AuthReply:
    """Send a request as the gateway does."""
    data = await bus.request(topology.AUTH_REQUESTS, msgspec.json.encode(request), timeout_seconds=20)
    return REPLY.decode(data)
