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
    return await erase_forgotten(bus, queue, subject) and await bus.create(subject, data, headers)


async def erase_forgotten(bus: Bus, queue: tuple[str, str], subject: str) -> bool:
    """Erase a message that nobody will get; False where there is none such.

    It lies where its consumer takes everything for settled, as seen in nats-server 2.10.
    """
    stream, durable = queue
    stored = await bus.last(stream, subject, by_leader=True)
    if stored is None or stored.sequence > (await bus.queue(queue)).settled_up_to:
        return False
    log.warning("forgotten_message_erased", queue=durable, subject=subject)
    FORGOTTEN.labels(durable).inc()
    await bus.purge(stream, subject)
    return True
