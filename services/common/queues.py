"""Work put into a queue once, and put there again where a killed broker keeps it but gives it to nobody."""

from collections.abc import Mapping

import structlog
from prometheus_client import Counter

from services.common.bus import Bus

log = structlog.get_logger()

FORGOTTEN = Counter(
    "whisper_forgotten_messages_total", "Messages that a queue kept but gave to nobody, replaced", ["queue"]
)


async def enqueue(
    bus: Bus, queue: tuple[str, str], subject: str, data: bytes, headers: Mapping[str, str] | None = None
) -> bool:
    """Store work for a queue (stream, durable consumer); False where it is there and somebody will get it."""
    if await bus.create(subject, data, headers):
        return True
    if not await _forgotten(bus, queue, subject):
        return False
    stream, durable = queue
    log.warning("forgotten_message_replaced", queue=durable, subject=subject)
    FORGOTTEN.labels(durable).inc()
    await bus.purge(stream, subject)
    return await bus.create(subject, data, headers)


async def _forgotten(bus: Bus, queue: tuple[str, str], subject: str) -> bool:
    """Whether a message lies where its consumer takes everything for settled, as seen in nats-server 2.10."""
    stored = await bus.last(queue[0], subject, by_leader=True)
    return stored is not None and stored.sequence <= await bus.settled_up_to(queue)
