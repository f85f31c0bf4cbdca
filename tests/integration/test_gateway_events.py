"""Server-sent events: in order, resumable from any point and any gateway."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import structlog
from prometheus_client import REGISTRY

from services.common.bus import Bus
from services.contracts.identifiers import run_id
from services.dev.nats_server import NatsServer
from services.gateway.buses import BUS
from services.gateway.feeds import KEPT_BYTES
from services.gateway.sse import STREAMS
from tests.gateways import (
    Gateway,
    StartGateway,
    cut,
    ended,
    gap,
    publish,
    text,
    until,
    upload,
)


class Events:
    """Reads server-sent events as a browser does."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.comments = 0

    async def __aiter__(self) -> AsyncIterator[dict[str, str]]:
        event: dict[str, str] = {}
        async for line in self.answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line.startswith(b":"):
                self.comments += 1
            elif name:
                event[name] = value
            elif event:
                yield event
                event = {}


async def read_events(gateway: Gateway, path: str, **options: Any) -> list[dict[str, str]]:
    """All events until the stream closes."""
    async with gateway.request("GET", path, **options) as answer:
        assert answer.status == 200
        return [event async for event in Events(answer)]


def without_job(events: list[dict[str, str]]) -> list[tuple[str, object]]:
    return [(event["event"], json.loads(event["data"])) for event in events if event["event"] != "job"]


async def until_text(events: AsyncIterator[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    async for event in events:
        yield event
        if event["event"] == "text":
            return


async def until_open(gateway: Gateway, count: int, seconds: float = 15.0) -> None:
    """Wait until so many event streams are open."""

    async def so_many() -> bool:
        return gateway.app[STREAMS].open_now == count

    await until(so_many, seconds)


async def events_named(
    name: str, count: int, events: AsyncIterator[dict[str, str]]
) -> AsyncIterator[dict[str, str]]:
    """The next `count` events of this name."""
    async for event in events:
        if event["event"] == name:
            yield event
            count -= 1
        if not count:
            return


async def test_only_what_came_while_somebody_read_counts_as_delivered(gateway: Gateway, bus: Bus) -> None:
    """Else a reader of yesterday's events would look like a delay of a day."""

    def delivered() -> float:
        labels = {"stage": "deliver"}
        return REGISTRY.get_sample_value("whisper_stage_seconds_count", labels) or 0.0

    job = str((await upload(gateway))["id"])
    run, before = run_id(job, 0), delivered()
    await publish(bus, run, cut(0))
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer:
        events = aiter(Events(answer))
        async for _ in events_named("cut", 1, events):
            assert delivered() == before
        await publish(bus, run, text(0, "live"))
        async for _ in until_text(events):
            pass

        async def counted() -> bool:
            return delivered() == before + 1

        await until(counted)


async def test_events_come_live_in_order_and_resume_anywhere(gateway: Gateway, bus: Bus) -> None:
    job = str((await upload(gateway, b"x" * 3000))["id"])
    run, path = run_id(job, 0), f"/v1/jobs/{job}/events"
    await publish(bus, run, cut(0))
    async with gateway.request("GET", path) as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert "no-transform" in answer.headers["Cache-Control"]
        events = aiter(Events(answer))
        first = await anext(events)
        assert first["event"] == "job"
        assert json.loads(first["data"])["progress"]["percent"] == 0
        assert json.loads(first["data"])["progress"]["total_seconds"] == 60.0
        assert (await anext(events))["event"] == "cut"
        await publish(bus, run, cut(1, 2000))
        await publish(bus, run, text(1, "two"))
        live = [event async for event in until_text(events)]
        await publish(bus, run, cut(2, 3000))
        await publish(bus, run, gap(2))
        await publish(bus, run, text(0, "one"))
        await publish(bus, run, ended(3))
        rest = [event async for event in events]

    whole = await read_events(gateway, path)
    names = [name for name, _ in without_job(whole)]
    assert names == ["cut", "cut", "text", "cut", "gap", "text", "end"]
    assert without_job([first, *live, *rest])[-3:] == without_job(whole)[-3:]
    numbered = [event for event in whole if "id" in event]
    for position, event in enumerate(numbered[:-1]):
        resumed = await read_events(gateway, path, headers={"Last-Event-ID": event["id"]})
        assert without_job(resumed) == without_job(numbered[position + 1 :])
        queried = await read_events(gateway, f"{path}?after={event['id']}")
        assert without_job(queried) == without_job(resumed)
    async with gateway.request("GET", path, headers={"Last-Event-ID": numbered[-1]["id"]}) as answer:
        assert answer.status == 204
    end = json.loads(numbered[-1]["data"])
    assert (end["status"], end["duration"], end["chunks"], end["error"]) == ("completed", 60.0, 3, None)
    told = [json.loads(event["data"])["progress"]["percent"] for event in rest if event["event"] == "job"]
    assert told == sorted(told)
    assert told[-1] == 100


async def test_two_gateways_show_the_same_events(start_gateway: StartGateway, bus: Bus) -> None:
    async with start_gateway() as one, start_gateway() as other:
        job = str((await upload(one))["id"])
        for event in (cut(0), text(0, "hello"), ended(1)):
            await publish(bus, run_id(job, 0), event)
        path = f"/v1/jobs/{job}/events"
        assert without_job(await read_events(one, path)) == without_job(await read_events(other, path))


async def test_a_silent_stream_carries_comments(start_gateway: StartGateway, bus: Bus) -> None:
    async with start_gateway(heartbeat_seconds=0.1) as gateway:
        job = str((await upload(gateway))["id"])
        async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer:
            async with asyncio.timeout(5):
                while not (await answer.content.readline()).startswith(b":"):
                    pass


async def test_readers_that_leave_at_once_are_no_bug_of_ours(gateway: Gateway) -> None:
    job = str((await upload(gateway))["id"])
    port = int(gateway.url.rpartition(":")[2])
    ask = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nX-User: ann\r\n\r\n".encode()
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ask)
            await writer.drain()
            writer.transport.abort()

        async def all_done() -> bool:
            return len([entry for entry in logs if entry["event"] == "request_done"]) == 20

        await until(all_done)

    assert not [entry for entry in logs if entry["event"] == "handler_broke"]


async def test_streams_over_the_limit_get_503(start_gateway: StartGateway) -> None:
    async with start_gateway(max_streams=0) as gateway:
        job = str((await upload(gateway))["id"])
        async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers


async def test_streams_end_when_the_process_stops(start_gateway: StartGateway) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(start_gateway())
        job = str((await upload(gateway))["id"])
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{gateway.url}/v1/jobs/{job}/events", headers={"X-User": "ann"}) as answer,
        ):
            reading = asyncio.create_task(answer.read())
            async with asyncio.timeout(10):
                await stack.aclose()
                assert b"event: job" in await reading


async def test_comments_come_while_the_broker_is_away(
    start_gateway: StartGateway, broker: NatsServer, bus: Bus
) -> None:
    async with start_gateway(heartbeat_seconds=0.2) as gateway:
        job = str((await upload(gateway))["id"])
        await publish(bus, run_id(job, 0), cut(0))
        async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer, asyncio.timeout(30):
            await broker.kill()
            comments = 0
            while comments < 10:  # more than one look at the record lasts
                comments += (await answer.content.readline()).startswith(b":")
            await broker.start()


async def test_a_reader_keeps_its_stream_through_a_killed_broker(
    gateway: Gateway, broker: NatsServer, bus: Bus
) -> None:
    job = str((await upload(gateway))["id"])
    run = run_id(job, 0)
    await publish(bus, run, cut(0))
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer, asyncio.timeout(30):
        events = aiter(Events(answer))
        assert [(await anext(events))["event"] for _ in range(2)] == ["job", "cut"]
        await broker.kill()
        await broker.start()
        await publish(bus, run, text(0, "still there"))
        await publish(bus, run, ended(1))
        names = [event["event"] async for event in events if event["event"] != "job"]
    assert names == ["text", "end"]


async def test_many_readers_of_a_job_cost_the_broker_no_more_than_one(gateway: Gateway, bus: Bus) -> None:
    job = str((await upload(gateway))["id"])
    path, readers = f"/v1/jobs/{job}/events", 20
    await publish(bus, run_id(job, 0), cut(0))
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(30):
        streams = []
        for _ in range(readers):
            answer = await stack.enter_async_context(gateway.request("GET", path))
            streams.append(aiter(Events(answer)))
        for events in streams:
            assert [(await anext(events))["event"] for _ in range(2)] == ["job", "cut"]
        before = gateway.app[BUS].client.stats["out_msgs"]
        await publish(bus, run_id(job, 0), text(0, "for all"))
        for events in streams:
            assert [event async for event in until_text(events)][-1]["event"] == "text"
        assert gateway.app[BUS].client.stats["out_msgs"] - before < readers


async def test_a_reader_far_behind_others_misses_nothing(gateway: Gateway, bus: Bus) -> None:
    job = str((await upload(gateway))["id"])
    run, path, count = run_id(job, 0), f"/v1/jobs/{job}/events", 24
    async with gateway.request("GET", path) as ahead:
        events = aiter(Events(ahead))
        for chunk in range(count):  # together more than is kept for all
            await publish(bus, run, text(chunk, "word " * (KEPT_BYTES // 40)))
        first = [event async for event in events_named("text", count, events)]
        behind = asyncio.create_task(read_events(gateway, path))
        resumed = asyncio.create_task(read_events(gateway, f"{path}?after={first[1]['id']}"))
        await until_open(gateway, 3)
        await publish(bus, run, ended(count))
        async with asyncio.timeout(30):
            whole = without_job(await behind)
            rest = without_job(await resumed)
    assert [json.loads(event["data"])["chunk"] for event in first] == list(range(count))
    assert whole[:-1] == without_job(first)
    assert rest == whole[2:]


async def test_readers_that_leave_a_silent_stream_are_let_go(gateway: Gateway) -> None:
    job = str((await upload(gateway))["id"])
    async with gateway.request("GET", f"/v1/jobs/{job}/events") as answer:
        assert (await anext(aiter(Events(answer))))["event"] == "job"
        answer.close()
    await until_open(gateway, 0, seconds=5)  # long before the next heartbeat, which would find it out, too


async def test_a_reader_that_takes_nothing_is_cut_off(start_gateway: StartGateway, bus: Bus) -> None:
    async with start_gateway(write_seconds=0.3, heartbeat_seconds=0.2) as gateway:
        job = str((await upload(gateway))["id"])
        with socket.socket() as reader, structlog.testing.capture_logs() as logs:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(reader, ("127.0.0.1", int(gateway.url.rpartition(":")[2])))
            ask = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nX-User: ann\r\n\r\n"
            await loop.sock_sendall(reader, ask.encode())
            await until_open(gateway, 1)
            for chunk in range(20):  # more than the kernel's buffers hold
                await publish(bus, run_id(job, 0), text(chunk, "words " * 70_000))
            await until_open(gateway, 0)
    assert "reader_too_slow" in [entry["event"] for entry in logs]
