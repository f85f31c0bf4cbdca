"""Processes of a stack, killed with -9 while a job is followed."""

import asyncio
import contextlib
from collections.abc import Sequence

import aiohttp

from tests.api import Api, Event
from tests.stack_thread import StackThread


async def through_kills(
    stack: StackThread,
    api: Api,
    job: str,
    victims: Sequence[str],
    *,
    texts_between: int,
    after: int | None = None,
) -> list[Event]:
    """Follow a job to its end, reconnecting, while one process after the other is killed."""
    left = list(victims)
    seen: list[Event] = []
    texts = 0
    async with asyncio.timeout(300):
        while not seen or seen[-1].name != "end":
            with contextlib.suppress(aiohttp.ClientError, AssertionError):
                async for event in api.events(job, seen[-1].id if seen else after):
                    if event.id is None:
                        continue
                    seen.append(event)
                    texts += event.name == "text"
                    if left and texts >= texts_between:
                        texts = 0
                        await killed(stack, left.pop(0))
            await asyncio.sleep(0.2)
    assert not left, f"the job was over before {left} were killed"
    return seen


async def killed(stack: StackThread, victim: str) -> None:
    """kill -9, and start it again as Kubernetes would."""
    if victim == "nats":
        server = stack.stack.nats
        await asyncio.to_thread(stack.do, server.kill())
        await asyncio.to_thread(stack.do, server.start())
        return
    supervisor = stack.stack.supervisor
    await asyncio.to_thread(stack.do, supervisor.kill(victim))
    await asyncio.to_thread(stack.do, supervisor.revive(victim))


async def answering(api: Api) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with api.session.get("/v1/me") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
