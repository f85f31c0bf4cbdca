"""What waits for a place is counted by a consumer that nobody fetches from, so that a scaler may see it."""

import asyncio

from services.chunker.admission import Admission
from services.common.bus import Bus
from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import CHUNKERS, WAITING, Stream
from services.dev.nats_server import NatsServer
from tests.charts.lag import lag
from tests.pipeline import worker

SECONDS = 40.0
PLACES = 2


async def wait_for_place(bus: Bus, number: int, lane: Lane = Lane.SHORT) -> None:
    assert await bus.create(topology.waiting(lane, "ann", f"job{number}-0", 0), b"command")


async def until_lag(broker: NatsServer, waiting: int, admitted: int) -> None:
    async with asyncio.timeout(SECONDS):
        while await both(broker) != (waiting, admitted):  # noqa: ASYNC110  # the broker is asked
            await asyncio.sleep(0.05)


async def both(broker: NatsServer) -> tuple[int, int]:
    return await lag(broker, WAITING), await lag(broker, CHUNKERS[Lane.SHORT])


async def restarted(broker: NatsServer) -> None:
    await broker.kill()
    await broker.start()


async def test_what_waits_is_counted_until_a_chunker_lets_it_in(bus: Bus, broker: NatsServer) -> None:
    """Before that, after it, and both times through a kill of the broker."""
    for number in range(5):
        await wait_for_place(bus, number)
    await until_lag(broker, 5, 0)
    await restarted(broker)
    await until_lag(broker, 5, 0)

    async with worker(Admission(bus, PLACES).run):
        await until_lag(broker, 3, 2)
    await restarted(broker)
    await until_lag(broker, 3, 2)

    async with worker(Admission(bus, 5).run):
        await until_lag(broker, 0, 5)
    await restarted(broker)
    await until_lag(broker, 0, 5)


async def test_what_waits_in_every_lane_counts(bus: Bus, broker: NatsServer) -> None:
    for number, lane in enumerate(Lane):
        await wait_for_place(bus, number, lane)
    await until_lag(broker, len(Lane), 0)


async def test_what_is_deleted_while_it_waits_counts_no_more(bus: Bus, broker: NatsServer) -> None:
    """A gateway purges the command of a job that is deleted; nobody ever fetched it."""
    for number in range(3):
        await wait_for_place(bus, number)
    await bus.purge(Stream.CTL, topology.work("*", "ann", "job1-0"))
    await until_lag(broker, 2, 0)
    await restarted(broker)
    await until_lag(broker, 2, 0)
    await bus.purge(Stream.CTL, ">")
    await until_lag(broker, 0, 0)
