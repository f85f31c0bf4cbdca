"""`python -m tests.chaos.gaps`: how long three servers of NATS take nothing and give nothing when some die.

A publisher stores a small message every 20 ms, a consumer of the pipeline's own kind handles them, and the
longest pause of either around each fault is what is told. What was acknowledged must all be handled.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import psutil

from services.common.bus import Bus, connect
from services.common.consumer import Consumer, Delivery
from services.common.errors import ServiceError
from services.common.logs import configure
from services.common.settings import ServiceSettings
from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import MINIMUM_SERVER, TRANSCRIBERS, Stream
from services.dev.nats_server import NatsServer, nats_servers
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings
from tests.chaos import table
from tests.chaos.table import WORK, Gap

SERVERS = 3
EVERY_SECONDS = 0.02
CALM_SECONDS = 5.0
"""Before the first fault, and after each once both sides go on."""
FROZEN_SECONDS = 20.0
ROUNDS = 3
LIMIT_SECONDS = 120.0
SLOTS = 4


class Traffic:
    """What was stored and what was handled, each with its time."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, float]] = []
        self.handled: list[tuple[int, float]] = []

    async def publish(self, bus: Bus) -> None:
        """Store numbered messages until cancelled; one that the bus gave up is tried again."""
        number = 0
        while True:
            with contextlib.suppress(ServiceError):
                await bus.create(topology.chunk("short", "owner", "probe-0", number), str(number).encode())
                self.stored.append((number, time.monotonic()))
                number += 1
            await asyncio.sleep(EVERY_SECONDS)

    async def handle(self, number: int, _delivery: Delivery) -> None:
        """Note that a message came."""
        self.handled.append((number, time.monotonic()))

    def lost(self) -> set[int]:
        """Messages that were acknowledged to the publisher and never came."""
        return {number for number, _ in self.stored} - {number for number, _ in self.handled}

    def repeated(self) -> int:
        """How many came again."""
        return len(self.handled) - len({number for number, _ in self.handled})


async def measured(folder: Path, rounds: int = ROUNDS) -> list[Gap]:
    """Every fault `rounds` times, on one cluster under traffic."""
    async with _cluster(folder) as (servers, buses), _running(*buses) as traffic:
        await _goes_on(traffic)
        gaps = []
        for name, fault in FAULTS.items():
            gaps += [await _gap(name, fault, servers, buses[0], traffic) for _ in range(rounds)]
        return gaps


async def leader_killed(servers: Sequence[NatsServer], bus: Bus) -> None:
    """kill -9 for the server that leads the stream, which comes back at once."""
    server = await _leader(servers, bus)
    await server.kill()
    await server.start()


async def all_killed(servers: Sequence[NatsServer], _bus: Bus) -> None:
    """kill -9 for all three at the same moment."""
    await asyncio.gather(*(server.kill() for server in servers))
    await asyncio.gather(*(server.start() for server in servers))


async def leader_frozen(servers: Sequence[NatsServer], bus: Bus) -> None:
    """SIGSTOP for the leader: its connections stay, and nothing answers."""
    server = await _leader(servers, bus)
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    process.suspend()
    try:
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        process.resume()


Fault = Callable[[Sequence[NatsServer], Bus], Awaitable[None]]
FAULTS: dict[str, Fault] = {
    "leader killed": leader_killed,
    "all three killed": all_killed,
    f"leader frozen for {FROZEN_SECONDS:.0f} s": leader_frozen,
}


async def _gap(name: str, fault: Fault, servers: Sequence[NatsServer], bus: Bus, traffic: Traffic) -> Gap:
    """Let one thing happen and wait until all goes on."""
    started = time.monotonic()
    await fault(servers, bus)
    await _goes_on(traffic)
    return Gap(
        fault=name,
        publish_seconds=_longest(traffic.stored, started),
        consume_seconds=_longest(traffic.handled, started),
        stored=len(traffic.stored),
        lost=len(traffic.lost()),
        repeated=traffic.repeated(),
    )


async def _goes_on(traffic: Traffic) -> None:
    """Wait until new messages were stored for a while and all that are stored have come."""
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.sleep(CALM_SECONDS)
        count = len(traffic.stored)
        while len(traffic.stored) < count + CALM_SECONDS / EVERY_SECONDS / 4:
            await asyncio.sleep(EVERY_SECONDS)
        wanted = {number for number, _ in traffic.stored}
        while wanted - {number for number, _ in traffic.handled}:
            await asyncio.sleep(EVERY_SECONDS)


def _longest(marks: Sequence[tuple[int, float]], since: float) -> float:
    """The longest pause that ended after `since` (seconds)."""
    return max(after - before for (_, before), (_, after) in pairwise(marks) if after > since)


async def _leader(servers: Sequence[NatsServer], bus: Bus) -> NatsServer:
    """The server that leads the stream of chunks."""
    while True:
        info = await bus.jetstream.stream_info(Stream.CHUNK)
        for server in servers:
            if info.cluster and info.cluster.leader == server.name:
                return server
        await asyncio.sleep(EVERY_SECONDS)


@contextlib.asynccontextmanager
async def _cluster(folder: Path) -> AsyncIterator[tuple[list[NatsServer], tuple[Bus, Bus]]]:
    """Three servers with every stream thrice, and a connection for each side."""
    async with contextlib.AsyncExitStack() as stack:
        servers = await stack.enter_async_context(nats_servers(folder, SERVERS))
        url = ",".join(server.url for server in servers)
        settings = ServiceSettings(nats_url=url)
        publisher, consumer = [
            await stack.enter_async_context(connect(settings, name, MINIMUM_SERVER))
            for name in ("publisher", "consumer")
        ]
        await declare(publisher.jetstream, ProvisionSettings(nats_url=url, stream_replicas=SERVERS))
        yield servers, (publisher, consumer)


@contextlib.asynccontextmanager
async def _running(publisher: Bus, receiver: Bus) -> AsyncIterator[Traffic]:
    traffic = Traffic()
    consumer = Consumer(
        stream=TRANSCRIBERS[Lane.SHORT].stream,
        durable=TRANSCRIBERS[Lane.SHORT].name,
        ack_wait_seconds=TRANSCRIBERS[Lane.SHORT].ack_wait_seconds,
        read=lambda delivery: int(delivery.data),
        handle=traffic.handle,
        give_up=_never,
    )
    work = [
        asyncio.create_task(traffic.publish(publisher)),
        asyncio.create_task(consumer.run(receiver, SLOTS, asyncio.Event())),
    ]
    try:
        yield traffic
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def _never(number: int, _delivery: Delivery, error: ServiceError) -> None:
    raise AssertionError(f"message {number} was given up") from error


def main() -> None:
    """Measure, and write RESULTS.md anew."""
    configure("gaps", "error")
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        gaps = asyncio.run(measured(Path(folder)))
    table.keep_gaps(gaps)
    print(table.publish())


if __name__ == "__main__":
    main()
