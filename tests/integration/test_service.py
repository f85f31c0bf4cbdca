"""The life of a service process: it waits for NATS, says so, becomes ready, and stops when told."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from services.common.bus import connect
from services.common.errors import Misconfigured
from services.common.settings import ServiceSettings
from services.contracts.topology import MINIMUM_SERVER
from services.dev.local import provision
from services.dev.nats_server import NatsServer, nats_server
from services.dev.processes import child, free_port
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings

METRICS = f"http://127.0.0.1:{free_port()}"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A nats-server that is not running yet."""
    server = NatsServer(tmp_path / "nats")
    yield server
    await server.stop()


def environ(server: NatsServer) -> dict[str, str]:
    return {
        **os.environ,
        "NATS_URL": server.url,
        "HOST": "127.0.0.1",
        "METRICS_PORT": METRICS.rpartition(":")[2],
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


async def status(path: str) -> int | None:
    try:
        async with aiohttp.ClientSession() as session, session.get(METRICS + path) as answer:
            return answer.status
    except aiohttp.ClientError:
        return None


async def until(path: str, wanted: int) -> None:
    async with asyncio.timeout(30):
        while await status(path) != wanted:  # noqa: ASYNC110  # it is another process's state
            await asyncio.sleep(0.05)


async def test_a_service_waits_for_nats_and_stops_when_told(server: NatsServer) -> None:
    arguments = (sys.executable, "-m", "services.transcriber")
    async with child(arguments, environ=environ(server), output=asyncio.subprocess.DEVNULL) as process:
        await until("/healthz", 200)
        assert await status("/readyz") == 503

        await server.start()
        async with connect(ServiceSettings(nats_url=server.url), "provision", MINIMUM_SERVER) as bus:
            await declare(bus.jetstream, ProvisionSettings())
        await until("/readyz", 200)
        assert await status("/metrics") == 200

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


@pytest.mark.parametrize("service", ["transcriber", "chunker"])
async def test_a_service_waits_for_what_provisioning_declares(server: NatsServer, service: str) -> None:
    """So that an installer may wait for services and provisioning in any order."""
    await server.start()
    async with (
        child(
            (sys.executable, "-m", f"services.{service}"),
            environ=environ(server),
            output=asyncio.subprocess.PIPE,
        ) as process,
        connect(ServiceSettings(nats_url=server.url), "provision", MINIMUM_SERVER) as bus,
    ):
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b"waiting_for_provisioning" not in (said := await process.stderr.readline()):
                assert said, "it ended"
        assert (await status("/healthz"), await status("/readyz")) == (200, 503)
        await declare(bus.jetstream, ProvisionSettings())
        await until("/readyz", 200)


async def test_a_service_that_still_waits_stops_at_once(server: NatsServer) -> None:
    arguments = (sys.executable, "-m", "services.transcriber")
    url = server.url.replace("//", "//somebody:a-password@")
    async with child(
        arguments, environ={**environ(server), "NATS_URL": url}, output=asyncio.subprocess.PIPE
    ) as process:
        await until("/healthz", 200)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, said = await process.communicate()

    assert process.returncode == 0
    assert b"waiting_for_nats" in said
    assert b"a-password" not in said


async def test_a_wrong_setting_is_named(server: NatsServer) -> None:
    arguments = (sys.executable, "-m", "services.transcriber")
    wrong = {**environ(server), "TRANSCRIBER_SLOTS": "many"}
    async with child(arguments, environ=wrong, output=asyncio.subprocess.PIPE) as process:
        _, said = await process.communicate()

    assert process.returncode == 2
    assert b"TRANSCRIBER_SLOTS='many'" in said


async def test_a_wrong_key_is_named_and_not_shown(server: NatsServer) -> None:
    arguments = (sys.executable, "-m", "services.transcriber")
    wrong = {**environ(server), "NATS_NKEY_SEED": "SU-with-a-typing-error"}
    async with child(arguments, environ=wrong, output=asyncio.subprocess.PIPE) as process:
        _, said = await process.communicate()

    assert process.returncode == 2
    assert b"NATS_NKEY_SEED" in said
    assert b"typing-error" not in said


async def test_two_brokers_never_share_a_store(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as first:
        with pytest.raises(Misconfigured, match="WHISPER_DATA"):
            await NatsServer(tmp_path).start()
        await first.kill()
        await first.start()


async def test_a_stack_that_is_stopped_while_it_provisions_leaves_nothing(server: NatsServer) -> None:
    us = psutil.Process()
    before = set(us.children())
    provisioning = asyncio.create_task(provision(environ(server)))
    async with asyncio.timeout(10):
        while not set(us.children()) - before:  # noqa: ASYNC110  # it is another process's state
            await asyncio.sleep(0.02)
    provisioning.cancel()
    await asyncio.gather(provisioning, return_exceptions=True)

    assert not set(us.children()) - before
