"""Tells receivers of jobs that ended: each delivery until it was taken, or for a day."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
import structlog
from aiohttp import web
from prometheus_client import Counter, Histogram
from yarl import URL

from services.common import tracing
from services.common.broker_clock import BrokerClock
from services.common.bus import Bus
from services.common.consumer import Consumer
from services.common.consumer import Delivery as Message
from services.common.documents import Documents
from services.common.errors import ServiceError, Transient
from services.common.tracing import Kind
from services.contracts import topology, traces
from services.contracts.messages import JobRecord
from services.contracts.topology import DAY_SECONDS, Stream
from services.contracts.webhooks import Delivery, DeliveryState, Try
from services.gateway.answers import Job, shown
from services.gateway.crowd import Crowd
from services.gateway.results import Results
from services.gateway.signing import SigningSecrets, signatures
from services.gateway.webhook_sender import Answer, Sender

log = structlog.get_logger()

PAUSES = (10.0, 60.0, 300.0, 900.0, 3600.0, 7200.0, 14_400.0)
"""Between two tries, seconds; the last one again and again."""
PATIENCE_SECONDS = DAY_SECONDS
SHARE_OF_A_HOST = 4
SHARE_OF_A_USER = 2
"""One host has a quarter of a process's places at the most, one user half: when a receiver hangs, the rest
stay free."""
CROWDED_SECONDS = 10.0

TRIES = Counter("whisper_webhook_tries_total", "Requests to receivers", ["outcome"])
for outcome in ("retried", "dropped", DeliveryState.DELIVERED, DeliveryState.FAILED):
    TRIES.labels(outcome)
SECONDS = Histogram(
    "whisper_webhook_seconds",
    "Time that a receiver took",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class NotYet(Transient):
    """The next try is due later."""

    code = "not_yet"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a delivery."""

    type: str
    id: str
    job: Job


class Webhooks:
    """Any number of gateways may run it; a delivery is with one of them at a time."""

    def __init__(
        self,
        bus: Bus,
        results: Results,
        signing: SigningSecrets,
        sender: Sender,
        *,
        slots: int,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`slots` is how many deliveries are under way at once, `pauses` what lies between their tries."""
        self._bus = bus
        self._jobs = Documents(bus, Stream.JOB, JobRecord)
        self._results = results
        self._signing = signing
        self._sender = sender
        self._slots = slots
        self._pauses = pauses
        self._clock = BrokerClock(bus, Stream.JOB)
        self._crowd = Crowd()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until the stop, then finish what is under way."""
        spec = topology.WEBHOOKS
        consumer = Consumer(
            stream=spec.stream,
            durable=spec.name,
            ack_wait_seconds=spec.ack_wait_seconds,
            read=lambda message: msgspec.json.decode(message.data, type=Delivery),
            handle=self._handle,
            give_up=self._give_up,
            context=lambda delivery: {
                **traces.log_keys(delivery.job, delivery.trace),
                "delivery": delivery.id,
            },
        )
        await consumer.run(self._bus, self._slots, stop)

    async def _handle(self, delivery: Delivery, message: Message) -> None:
        if delivery.state is not DeliveryState.PENDING:
            return
        now = await self._clock.now()
        if delivery.next_at is not None and delivery.next_at > now:
            raise NotYet("its next try is due later", retry_after=delivery.next_at - now)
        record = await self._jobs.newest(topology.job_record(delivery.owner, delivery.job))
        if record is None or record.deleted:
            await self._bus.purge(Stream.HOOKS, delivery.subject)
            TRIES.labels("dropped").inc()
            return
        if (record.run, record.attempt) != (delivery.run, delivery.attempt):
            error = "the job goes on: its new end is told instead"
            answer = Answer(seconds=0.0, error=error)
            await self._store(delivery, message, answer, now, last=True)
            return
        places = {
            URL(delivery.url).raw_host or "": max(1, self._slots // SHARE_OF_A_HOST),
            delivery.owner: max(1, self._slots // SHARE_OF_A_USER),
        }
        pause = CROWDED_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  # spreads what waits
        with self._crowd.place(places, retry_after=pause):
            answer = await self._told(delivery, record, now)
        await self._store(delivery, message, answer, now)

    async def _told(self, delivery: Delivery, record: JobRecord, now: float) -> Answer:
        job = shown(record, await self._results.progress(record))
        body = msgspec.json.encode(Event(type="job.ended", id=delivery.id, job=job))
        timestamp = str(int(now))
        secret = await self._signing.get(delivery.owner, now)
        headers = {
            "Whisper-Webhook-Id": delivery.id,
            "Whisper-Webhook-Timestamp": timestamp,
            "Whisper-Webhook-Signature": signatures(secret, timestamp, body, now),
        }
        trace = traces.of_job(delivery.job, delivery.trace)
        with tracing.span("deliver", trace, Kind.CLIENT, delivery=delivery.id) as span:
            headers[traces.HEADER] = span.traceparent
            answer = await self._sender.post(delivery.url, body, headers)
            if answer.error is not None:
                span.failed("not_taken")
        SECONDS.observe(answer.seconds)
        return answer

    async def _store(
        self, delivery: Delivery, message: Message, answer: Answer, now: float, *, last: bool = False
    ) -> None:
        """Write down how a try went, unless somebody was faster or the job is deleted.

        What has to wait comes again, as this is a new message in the queue.
        """
        new = tried(delivery, answer, now, self._pauses, last=last)
        stored = await self._bus.replace(
            delivery.subject, msgspec.json.encode(new), expected=message.sequence
        )
        outcome = "retried" if new.state is DeliveryState.PENDING else new.state
        TRIES.labels(outcome).inc()
        log.info(
            "webhook_tried",
            outcome=outcome,
            status=answer.status,
            error=answer.error,
            seconds=answer.seconds,
            stored=stored is not None,
        )

    async def _give_up(self, delivery: Delivery, message: Message, error: ServiceError) -> None:
        """A delivery that breaks us."""
        answer = Answer(seconds=0.0, error=str(error))
        await self._store(delivery, message, answer, await self._clock.now(), last=True)


WEBHOOKS = web.AppKey("webhooks", Webhooks)


def tried(
    delivery: Delivery, answer: Answer, now: float, pauses: Sequence[float] = PAUSES, *, last: bool = False
) -> Delivery:
    """The delivery after a try that began at this time; `last` lets no other follow."""
    one = Try(at=now, seconds=answer.seconds, status=answer.status, error=answer.error)
    tries = (*delivery.tries, one)
    if answer.error is None:
        return msgspec.structs.replace(delivery, state=DeliveryState.DELIVERED, tries=tries, next_at=None)
    pause = max(pauses[min(len(tries), len(pauses)) - 1], answer.retry_after or 0.0)
    next_at = now + pause
    if last or next_at - tries[0].at > PATIENCE_SECONDS:
        return msgspec.structs.replace(delivery, state=DeliveryState.FAILED, tries=tries, next_at=None)
    return msgspec.structs.replace(delivery, tries=tries, next_at=next_at)
