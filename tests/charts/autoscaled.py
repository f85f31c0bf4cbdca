"""A stack whose chunkers and transcribers autoscalers start and stop, on a clock that runs fast."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from services.dev.nats_server import NatsServer
from tests.api import Api, logged_in
from tests.chaos.cast import USERS, Cast, Casting, cast
from tests.charts.deployment import Deployment
from tests.charts.keda import SYNC_SECONDS, Autoscaler, ScaledObject
from tests.charts.lag import lags

LOOK_SECONDS = 0.04
LIMIT_SECONDS = 120.0


class Cluster:
    """The autoscalers, and what they scale."""

    def __init__(self, running: Cast, specs: Mapping[str, ScaledObject], pace: float) -> None:
        self.server: NatsServer = running.stack.nats
        self.scalers = {service: Autoscaler(spec) for service, spec in specs.items()}
        self.deployments = {
            service: Deployment(running.stack.supervisor, replicas(service, spec))
            for service, spec in specs.items()
        }
        self._specs = specs
        self._pace = pace

    @contextlib.asynccontextmanager
    async def scaled(self) -> AsyncIterator[None]:
        """Autoscalers look and act until the context closes."""
        async with asyncio.TaskGroup() as group:
            scaling = group.create_task(self._scale())
            yield
            scaling.cancel()

    async def until_idle(self) -> None:
        """Wait until no worker is left."""
        await self.until(lambda: not any(scaler.replicas for scaler in self.scalers.values()))
        for deployment in self.deployments.values():
            await deployment.ended()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():  # noqa: ASYNC110  # of many events
                await asyncio.sleep(LOOK_SECONDS)

    async def _scale(self) -> None:
        polled, synced = dict.fromkeys(self._specs, 0.0), 0.0
        while True:
            now, found = time.monotonic() * self._pace, await lags(self.server)
            due = now - synced >= SYNC_SECONDS
            for service, scaler in self.scalers.items():
                if now - polled[service] >= self._specs[service].polling:
                    polled[service] = now
                    scaler.poll(now, found)
                if due:
                    scaler.sync(now, found)
                await self.deployments[service].scale(scaler.replicas)
            synced = now if due else synced
            await asyncio.sleep(LOOK_SECONDS)


def replicas(service: str, spec: ScaledObject) -> list[str]:
    """Names of all its processes, as the stack gives them."""
    assert spec.most > 1, f"{service} does not scale"
    return [f"{service}-{number}" for number in range(1, spec.most + 1)]


@contextlib.asynccontextmanager
async def cluster(
    folder: Path, specs: Mapping[str, ScaledObject], runtime_url: str, *, pace: float, user_jobs: int
) -> AsyncIterator[tuple[Cluster, list[Api]]]:
    """A stack without a worker, and its users. One second of ours has `pace` seconds of the autoscalers."""
    casting = Casting(
        replicas={service: spec.most for service, spec in specs.items()},
        parked=frozenset(specs),
        environ={
            "USER_JOBS": str(user_jobs),
            "TRANSCRIBER_SLOTS": str(int(specs["transcriber"].target)),
        },
        environ_of={  # as a pod has it, where the local stack has 2 s
            name: {"DRAIN_SECONDS": "20"} for name in replicas("transcriber", specs["transcriber"])
        },
    )
    async with (
        cast(folder, casting, runtime_url=runtime_url) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        users = [
            await stack.enter_async_context(logged_in(running.stack.url, *login)) for login in USERS.items()
        ]
        yield Cluster(running, specs, pace), users
