"""Consume a work queue a bounded number of messages at a time, and settle each in one place."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client import Counter, Gauge, Histogram
from structlog.contextvars import bound_contextvars

from services.common.bus import Bus
from services.common.errors import Permanent, ServiceError, Transient

log = structlog.get_logger()

POLL_SECONDS = 1.0
"""How late a stop, or a broker that came back, is noticed."""
BEATS_PER_ACK_WAIT = 3.0
LONGEST_DELAY_SECONDS = 30.0
BUG_ATTEMPTS = 20
"""Deliveries before a message that breaks its handler is given up; a killed worker counts as one too."""
REMEMBERED_FAILURES = 10_000
"""Messages whose first failure is remembered; another process may have handled them since."""

HANDLED = Counter("whisper_messages_handled_total", "Messages settled", ["queue", "outcome"])
IN_PROGRESS = Gauge("whisper_messages_in_progress", "Messages in hand", ["queue"])
SECONDS = Histogram(
    "whisper_message_seconds",
    "Time from delivery to settlement",
    ["queue"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
LAST_SUCCESS = Gauge(
    "whisper_last_success_timestamp_seconds", "When a message was last handled, 0 before the first", ["queue"]
)
BUG = "bug"
"""Code of a message that broke its handler."""
OUTCOMES = ("done", "deferred", "given_up", "unreadable")

M = TypeVar("M")


@dataclass(frozen=True)
class Delivery:
    """What is known of this delivery of a message."""

    subject: str
    data: bytes
    headers: dict[str, str]
    attempt: int
    sequence: int
    """Of the message in its stream: the same in every delivery."""
    stored_at: float
    """When it was stored, by the broker's clock, as Unix time."""


class Places(Protocol):
    """A bound on the work in hand that several queues share."""

    async def take(self) -> None:
        """Wait for a place."""

    def give_back(self) -> None:
        """The work is done."""


@dataclass(frozen=True)
class Consumer(Generic[M]):
    """One durable queue: how its messages are read and handled, and who is told when we give up.

    `patience_seconds` is how long transient failures are retried, counted from the first one that this
    process saw, or from where the error says: time spent waiting in the queue is nobody's failure as such.
    None retries for ever.
    """

    stream: str
    durable: str
    ack_wait_seconds: float
    read: Callable[[Delivery], M]
    handle: Callable[[M, Delivery], Awaitable[None]]
    give_up: Callable[[M, Delivery, ServiceError], Awaitable[None]]
    patience_seconds: float | None = None
    context: Callable[[M], dict[str, object]] = field(default=lambda _message: {})
    settled: Callable[[Delivery], None] = field(default=lambda _delivery: None)
    """Told of each message that has left the queue."""
    letter: Callable[[Delivery, ServiceError], tuple[str, bytes]] | None = None
    """Subject and content of what is kept of a message that was given up."""
    places: Places | None = None
    """Where more work is fetched than may be in hand: each message waits for its place, one at a time."""
    _failing: dict[int, float] = field(default_factory=dict, init=False)
    """When each message failed first, by its sequence."""

    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self, bus: Bus, slots: int, stop: asyncio.Event) -> None:
        """Handle messages `slots` at a time until `stop`, then finish those in hand."""
        self._show()
        async with asyncio.TaskGroup() as group:
            for _ in range(slots):
                group.create_task(self._run_slot(bus, stop))

    def _show(self) -> None:
        """Metrics of this queue exist from the start: an increase from nothing would not be seen."""
        for outcome in OUTCOMES:
            HANDLED.labels(self.durable, outcome)
        for metric in (IN_PROGRESS, SECONDS, LAST_SUCCESS):
            metric.labels(self.durable)

    async def _run_slot(self, bus: Bus, stop: asyncio.Event) -> None:
        subscription = await bus.jetstream.pull_subscribe_bind(self.durable, self.stream)
        try:
            while not stop.is_set():
                if self.places is None:
                    await self._take(bus, await self._fetched(subscription))
                else:
                    await self._take_in_turn(bus, subscription, self.places, stop)
                _end_if_cancelled()
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _take(self, bus: Bus, msg: Msg | None) -> None:
        if msg is not None:
            await self._settle(bus, msg)

    async def _take_in_turn(
        self,
        bus: Bus,
        subscription: JetStreamContext.PullSubscription,
        places: Places,
        stop: asyncio.Event,
    ) -> None:
        """One slot at a time has a message that waits for its place, so that others find theirs elsewhere."""
        async with self._fetching:
            if stop.is_set():
                return
            msg = await self._fetched(subscription)
            if msg is None:
                return
            try:
                async with self._kept_in_progress(msg):
                    await places.take()
            except asyncio.CancelledError:
                await _told(msg.nak())
                raise
        try:
            await self._settle(bus, msg)
        finally:
            places.give_back()

    async def _fetched(self, subscription: JetStreamContext.PullSubscription) -> Msg | None:
        try:
            [msg] = await subscription.fetch(1, timeout=POLL_SECONDS)
        except nats.errors.TimeoutError:
            await self._checked(subscription)
            return None
        except nats.errors.Error as error:
            log.info("fetch_failed", queue=self.durable, error=str(error) or type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
            return None
        return msg

    async def _checked(self, subscription: JetStreamContext.PullSubscription) -> None:
        """A deleted consumer lets `fetch` time out for ever; asking for it raises, which ends the process."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await subscription.consumer_info()
        except nats.js.errors.NotFoundError:
            raise
        except (nats.errors.Error, TimeoutError):
            return  # the broker is away, or a cluster has no leader yet; the next fetch finds it

    async def _settle(self, bus: Bus, msg: Msg) -> None:
        started = time.monotonic()
        with IN_PROGRESS.labels(self.durable).track_inprogress():
            outcome = await self._outcome(bus, msg)
        HANDLED.labels(self.durable, outcome).inc()
        SECONDS.labels(self.durable).observe(time.monotonic() - started)

    async def _outcome(self, bus: Bus, msg: Msg) -> str:
        """Handle one message and tell JetStream what became of it."""
        delivery = _delivery(msg)
        try:
            message = self.read(delivery)
        except (msgspec.DecodeError, KeyError, UnicodeError) as error:
            log.error("message_unreadable", subject=msg.subject, error=str(error))  # noqa: TRY400
            await self._bury(bus, msg, delivery, Permanent(str(error), code="unreadable"))
            return "unreadable"
        with bound_contextvars(**self.context(message), attempt=delivery.attempt):
            try:
                async with self._kept_in_progress(msg):
                    await self.handle(message, delivery)
            except asyncio.CancelledError:
                await _told(msg.nak())  # another replica takes it at once instead of after the ack wait
                raise
            except Exception as error:
                return await self._failed(bus, msg, message, delivery, error)
        self._failing.pop(delivery.sequence, None)
        await _told(msg.ack())
        self.settled(delivery)
        LAST_SUCCESS.labels(self.durable).set_to_current_time()
        return "done"

    async def _failed(self, bus: Bus, msg: Msg, message: M, delivery: Delivery, error: Exception) -> str:
        if not isinstance(error, ServiceError):
            log.exception("handler_broke", queue=self.durable)
            error = Transient(f"internal error: {type(error).__name__}", code=BUG, max_attempts=BUG_ATTEMPTS)
        if isinstance(error, Permanent) or (
            isinstance(error, Transient) and self._exhausted(error, delivery)
        ):
            log.warning("message_given_up", queue=self.durable, error=str(error))
            try:
                await self.give_up(message, delivery, error)
            except ServiceError as later:  # the outcome could not be stored: keep the message
                log.warning("giving_up_failed", queue=self.durable, error=str(later))
                await _told(msg.nak(delay=LONGEST_DELAY_SECONDS))
                return "deferred"
            self._failing.pop(delivery.sequence, None)
            await self._bury(bus, msg, delivery, error)
            return "given_up"
        wanted = error.retry_after if isinstance(error, Transient) else None
        delay = (
            wanted if wanted is not None else min(2.0 ** min(delivery.attempt - 1, 10), LONGEST_DELAY_SECONDS)
        )
        log.info("message_deferred", queue=self.durable, error=str(error), delay=delay)
        await _told(msg.nak(delay=delay))
        return "deferred"

    async def _bury(self, bus: Bus, msg: Msg, delivery: Delivery, error: ServiceError) -> None:
        """Take a message out of the queue, and keep for the operator what it was and why."""
        try:
            if self.letter is not None:
                await bus.create(*self.letter(delivery, error))
        except ServiceError as later:  # its job says what happened; only the operator's list lacks it
            log.warning("dead_letter_lost", error=str(later))
        await _told(msg.term())
        self.settled(delivery)

    def _exhausted(self, error: Transient, delivery: Delivery) -> bool:
        if error.max_attempts is not None and delivery.attempt >= error.max_attempts:
            return True
        if self.patience_seconds is None:
            return False
        now = time.monotonic()
        first = now if error.since is None else error.since
        failing_since = min(self._failing.get(delivery.sequence, now), first)
        self._failing[delivery.sequence] = failing_since
        while len(self._failing) > REMEMBERED_FAILURES:
            del self._failing[next(iter(self._failing))]
        return now - failing_since > self.patience_seconds

    @contextlib.asynccontextmanager
    async def _kept_in_progress(self, msg: Msg) -> AsyncIterator[None]:
        """Hold off redelivery while a slow handler is still at work."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(self.ack_wait_seconds / BEATS_PER_ACK_WAIT)
                await _told(msg.in_progress())

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


def _delivery(msg: Msg) -> Delivery:
    metadata = msg.metadata
    return Delivery(
        subject=msg.subject,
        data=msg.data,
        headers=dict(msg.headers or {}),
        attempt=metadata.num_delivered or 1,
        sequence=metadata.sequence.stream,
        stored_at=metadata.timestamp.timestamp(),
    )


def _end_if_cancelled() -> None:
    """A cancellation that came together with an answer is lost in `asyncio.wait_for` of Python 3.11."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _told(telling: Awaitable[None]) -> None:
    """An answer to JetStream that gets lost only causes a redelivery, which handlers expect."""
    with contextlib.suppress(nats.errors.Error, OSError):
        await telling
