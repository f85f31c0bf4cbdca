"""Shows the operator how the broker stands: its streams, its queues, and what was given up.

Every gateway shows the same, also when no worker runs; of several take the largest.
"""

import asyncio

import msgspec
import nats.js.errors
import structlog
from prometheus_client import Gauge

from services.common.bus import Bus, woken_within
from services.common.errors import BrokerUnavailable, ServiceError
from services.contracts.topology import CONSUMERS, ConsumerSpec, Stream
from services.gateway.budgets import Budgets
from services.gateway.top_users import TopUsers

log = structlog.get_logger()

LOOK_SECONDS = 15.0
ANSWER_SECONDS = 5.0
"""A stream that tells nothing for so long, over a connection that stands, has no leader. Everything else is
then left for the next round."""

REPLICAS = Gauge(
    "whisper_stream_replicas", "Copies of a stream that are complete, and those it lacks", ["stream", "state"]
)
LEADERLESS = Gauge("whisper_stream_leaderless", "1 while a stream has no leader and stands still", ["stream"])
MESSAGES = Gauge("whisper_queue_messages", "Messages that wait or are in hand, as last seen", ["queue"])
OLDEST = Gauge(
    "whisper_queue_oldest_seconds", "Age of the oldest of them, in hand or not; 0 without any", ["queue"]
)
DEAD_LETTERS = Gauge("whisper_dead_letters", "Work that was given up and waits for an operator, as last seen")


class BrokerWatch:
    """Looks all the time."""

    def __init__(self, bus: Bus, budgets: Budgets, users: TopUsers) -> None:
        """`budgets` learns what is seen; `users` is looked at in the same rounds."""
        self._bus = bus
        self._budgets = budgets
        self._users = users

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the metrics true until the stop."""
        while not stop.is_set():
            try:
                await self.look()
            except (ServiceError, TimeoutError) as error:
                log.info("broker_unknown", error=str(error) or "it did not answer in time")
            except (nats.js.errors.APIError, msgspec.DecodeError) as error:
                # a consumer that somebody removed, a sum of another version: no reason to end a gateway
                log.warning("broker_unclear", error=str(error))
            await woken_within(stop, LOOK_SECONDS)

    async def look(self) -> None:
        """Ask the broker for everything once; raises `TimeoutError` where not all of it is answered.

        Of a stream without a leader nobody knows the queues.
        """
        led = await asyncio.gather(*map(self._look_at_stream, Stream))
        asleep = {stream for stream, has_leader in zip(Stream, led, strict=True) if not has_leader}
        if len(asleep) == len(Stream):
            return
        async with asyncio.timeout(ANSWER_SECONDS):
            now = await self._bus.now(next(stream for stream in Stream if stream not in asleep))
            await asyncio.gather(
                *(self._look_at_queue(spec, now) for spec in CONSUMERS if spec.stream not in asleep)
            )
            if Stream.DAYS not in asleep:
                await self._users.look(now)

    async def _look_at_stream(self, stream: Stream) -> bool:
        """Whether it has a leader."""
        try:
            state = await self._bus.state(stream, patience_seconds=ANSWER_SECONDS)
        except BrokerUnavailable:
            if self._bus.link.broken:
                raise
            state = None
        LEADERLESS.labels(stream).set(state is None or not state.has_leader)
        if state is None or not state.has_leader:
            return False
        REPLICAS.labels(stream, "current").set(state.copies)
        REPLICAS.labels(stream, "missing").set(max(0, state.wanted_copies - state.copies))
        self._budgets.note(stream, state)
        if stream is Stream.DLQ:
            DEAD_LETTERS.set(state.messages)
        return True

    async def _look_at_queue(self, spec: ConsumerSpec, now: float) -> None:
        state, age = await self._bus.queue(spec.queue), 0.0
        if state.messages:
            oldest = await self._bus.next(spec.stream, spec.filter, state.settled_up_to)
            age = max(0.0, now - oldest.stored_at) if oldest else 0.0
        MESSAGES.labels(spec.name).set(state.messages)
        OLDEST.labels(spec.name).set(age)
