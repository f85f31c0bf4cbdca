"""What the lag of a queue is when work goes wrong: whoever scales by it must neither give up nor pile up."""

import asyncio

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import TRANSCRIBERS
from services.dev.nats_server import NatsServer
from tests.charts.lag import lag

QUEUE = TRANSCRIBERS[Lane.SHORT]
SECONDS = 20.0


async def taken(bus: Bus, *, back_after: float | None) -> None:
    """Take one of two chunks; hand it back for later, or die with it in hand."""
    for number in range(2):
        assert await bus.create(topology.chunk(Lane.SHORT, "ann", "job-0", number), b"chunk")
    subscription = await bus.jetstream.pull_subscribe_bind(QUEUE.name, QUEUE.stream)
    [message] = await subscription.fetch(1, timeout=SECONDS)
    if back_after is not None:
        await message.nak(delay=back_after)
    await subscription.unsubscribe()
    await bus.client.flush()


async def test_a_chunk_that_comes_again_later_still_counts(bus: Bus, broker: NatsServer) -> None:
    """A cold endpoint lets no transcriber go."""
    await taken(bus, back_after=60.0)
    assert await lag(broker, QUEUE) == 2


async def test_a_chunk_in_the_hands_of_a_dead_transcriber_counts(bus: Bus, broker: NatsServer) -> None:
    await taken(bus, back_after=None)
    assert await lag(broker, QUEUE) == 2


async def test_what_was_in_hand_counts_after_the_brokers_death(bus: Bus, broker: NatsServer) -> None:
    await taken(bus, back_after=60.0)
    await broker.kill()
    await broker.start()
    async with asyncio.timeout(SECONDS):
        while await lag(broker, QUEUE) != 2:  # noqa: ASYNC110  # the broker is asked
            await asyncio.sleep(0.05)


async def test_what_is_done_counts_no_more(bus: Bus, broker: NatsServer) -> None:
    await taken(bus, back_after=0.0)
    subscription = await bus.jetstream.pull_subscribe_bind(QUEUE.name, QUEUE.stream)
    for left in (1, 0):
        [message] = await subscription.fetch(1, timeout=SECONDS)
        await message.ack_sync()
        assert await lag(broker, QUEUE) == left
    await subscription.unsubscribe()
