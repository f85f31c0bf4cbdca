"""The services as processes, each with its own rights at NATS, a stand-in for the model, and their logs."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import msgspec

from services.contracts.rights import Role
from services.dev.processes import child, free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.auth_process import Aws, auth_environ
from tests.guarded import Guarded, guarded_server

READY_SECONDS = 120.0
SERVICES = (Role.AUTH, Role.GATEWAY, Role.CHUNKER, Role.TRANSCRIBER)


class SmallStack(msgspec.Struct, frozen=True):
    """Where the page is, and what the processes have said."""

    url: str
    nats: Guarded
    folder: Path
    aws: Aws
    metrics: Mapping[Role, str]
    """Base URL of each process's probes and metrics."""
    pids: Mapping[Role, int]

    def said(self, service: str) -> list[str]:
        """What one of them has logged."""
        return (self.folder / f"{service}.log").read_text(errors="surrogateescape").splitlines()

    def lines(self) -> list[str]:
        """Every line that any process has logged."""
        return [line for service in SERVICES for line in self.said(service)]

    def broker_log(self) -> str:
        return (self.folder / "nats" / "nats.log").read_text()


@contextlib.asynccontextmanager
async def small_stack(
    folder: Path,
    secrets_url: str,
    accounts: Mapping[str, object],
    endpoint: StandIn | str,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[SmallStack]:
    """Everything, ready; it ends with the context. `endpoint` may be the URL of a runtime instead."""
    aws = Aws(secrets_url)
    await aws.create_accounts(accounts)
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(guarded_server(folder / "nats"))
        runtime = (
            endpoint
            if isinstance(endpoint, str)
            else await stack.enter_async_context(stand_in(endpoint, free_port()))
        )
        metrics, pids = {}, {}
        for service in SERVICES:
            probe = free_port()
            environ = {
                **auth_environ(nats.url, aws, settings or {}),
                "NATS_NKEY_SEED": nats.seeds[service],
                "METRICS_PORT": str(probe),
                "PORT": str(port),
                "LOG_LEVEL": "debug",
                "DRAIN_SECONDS": "2",
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime,
                "PYTHONPATH": os.pathsep.join(sys.path),
            }
            output = stack.enter_context((folder / f"{service}.log").open("wb"))
            arguments = (sys.executable, "-m", f"services.{service}")
            process = await stack.enter_async_context(
                child(arguments, environ=environ, output=output.fileno())
            )
            pids[service] = process.pid
            metrics[service] = f"http://127.0.0.1:{probe}"
        await asyncio.gather(*(_ready(f"{url}/readyz") for url in metrics.values()))
        yield SmallStack(f"http://127.0.0.1:{port}", nats, folder, aws, metrics, pids)


async def _ready(url: str) -> None:
    async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
