"""Replicas of a service as processes of the local stack, as many as an autoscaler wants."""

import asyncio
import signal
from collections.abc import Sequence

from services.dev.supervisor import Supervisor

GRACE_SECONDS = 30.0
"""What a pod has from SIGTERM on."""


class Deployment:
    """Programs that the supervisor knows, none of them up at first."""

    def __init__(self, supervisor: Supervisor, names: Sequence[str]) -> None:
        self._supervisor = supervisor
        self._up: list[str] = []
        self._down = list(names)
        self._ending: set[asyncio.Task[None]] = set()
        self.codes: list[int] = []
        """Exit codes of those that were stopped."""

    async def scale(self, replicas: int) -> None:
        """Start what is missing; stop what is too much, the oldest first: it has most in hand."""
        while len(self._up) < replicas and self._down:  # a name is free once its process has ended
            name = self._down.pop()
            await self._supervisor.revive(name)
            self._up.append(name)
        while len(self._up) > replicas:
            self._ending.add(asyncio.create_task(self._stopped(self._up.pop(0))))

    async def ended(self) -> None:
        """Wait until whatever was stopped is gone."""
        await asyncio.gather(*self._ending)

    async def _stopped(self, name: str) -> None:
        process = self._supervisor.release(name)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GRACE_SECONDS):
            self.codes.append(await process.wait())
        self._down.append(name)
