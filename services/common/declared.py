"""Waiting for what provisioning declares, which may come later than the service that needs it."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence

import nats.js.errors
import structlog

from services.common.bus import Bus

log = structlog.get_logger()

POLL_SECONDS = 1.0


async def until_declared(bus: Bus, streams: Sequence[str], queues: Sequence[tuple[str, str]] = ()) -> None:
    """Wait for streams, and for consumers (stream, durable), that this connection may ask for."""
    for stream in streams:
        await _until_there(f"stream {stream}", functools.partial(bus.state, stream))
    for queue in queues:
        await _until_there(f"consumer {queue[1]}", functools.partial(bus.queue, queue))


async def _until_there(name: str, look: Callable[[], Awaitable[object]]) -> None:
    said = False
    while True:
        try:
            await look()
        except nats.js.errors.NotFoundError:
            if not said:
                log.warning("waiting_for_provisioning", missing=name)
                said = True
            await asyncio.sleep(POLL_SECONDS)
        else:
            return
