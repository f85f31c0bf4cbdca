"""A gateway that has served leaves no task behind; every other test of a gateway looks for that, too."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from tests.gateways import StartGateway, cut, ended, publish, text, upload
from tests.tasks import Tasks


async def test_uploads_event_streams_and_aborted_clients_leave_no_task(
    start_gateway: StartGateway, bus: Bus
) -> None:
    """`start_gateway` fails if one is left when the gateway has ended."""
    sending = asyncio.Event()

    async def never_ending() -> AsyncIterator[bytes]:
        yield b"sound"
        sending.set()
        await asyncio.Event().wait()

    async with start_gateway() as gateway:
        job = (await upload(gateway))["id"]
        run = run_id(job, 0)
        await publish(bus, run, cut(0))
        await publish(bus, run, text(0, "hello"))
        readers = [await gateway.request("GET", f"/v1/jobs/{job}/events").__aenter__() for _ in range(4)]
        for reader in readers:
            assert await reader.content.readline()
        readers.pop().close()
        headers = {"Content-Type": "audio/mpeg"}
        aborted = asyncio.create_task(gateway.json("POST", "/v1/jobs", data=never_ending(), headers=headers))
        await sending.wait()
        aborted.cancel()
        await asyncio.gather(aborted, return_exceptions=True)
        await publish(bus, run, ended(1))
        async with asyncio.timeout(20):
            assert b"hello" in await readers.pop().content.read()


async def test_a_task_that_outlives_its_beginner_is_found() -> None:
    tasks, go = Tasks(), asyncio.Event()

    async def begin() -> "asyncio.Task[bool]":
        return asyncio.create_task(go.wait(), name="grandchild")

    with tasks.begun_here():
        child = asyncio.create_task(begin())
    others = asyncio.create_task(go.wait())
    await child
    with pytest.raises(AssertionError, match="grandchild"):
        await tasks.must_end(0.01)
    go.set()
    await tasks.must_end()
    await others
