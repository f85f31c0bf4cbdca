"""Storing what must not be lost, as soon as its stream has room for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from prometheus_client import Counter

from services.common.errors import StorageFull

log = structlog.get_logger()

PAUSE_SECONDS = 2.0

WAITS = Counter("whisper_room_waits_total", "Times that something waited for room in a full stream")

T = TypeVar("T")


async def when_room(store: Callable[[], Awaitable[T]]) -> T:
    """Do `store` again and again until it finds room. Cancel it once nobody needs the outcome."""
    while True:
        try:
            return await store()
        except StorageFull as error:
            WAITS.inc()
            log.info("waiting_for_room", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)
