"""Read all of a key-value stream's newest messages at once: ranges of sequences side by side."""

import asyncio
from collections.abc import Callable

from services.common.bus import Bus, Stored

RANGES = 256
LEAST_WIDTH = 32
AT_ONCE = 16
"""Requests in flight; more make neither side faster, and others wait longer."""


async def scanned(bus: Bus, stream: str, subjects: str, take: Callable[[Stored], None]) -> int:
    """Give `take` the newest message of each matching subject, in no order.

    Returns the sequence up to which that is complete: what is newer, or what a replica that lags did not
    know, follows from there with `Bus.next`.
    """
    newest = await bus.last(stream, subjects)
    if newest is None:
        return 0
    width = max(LEAST_WIDTH, -(-newest.sequence // RANGES))
    places = asyncio.Semaphore(AT_ONCE)

    async def read(after: int, end: int) -> int:
        """Take one range; how far it is complete. Who answers with what lies behind it knows all of it."""
        async with places:
            while after < end and (stored := await bus.next(stream, subjects, after)) is not None:
                if stored.sequence > end:
                    return end
                take(stored)
                after = stored.sequence
            return after

    starts = range(0, newest.sequence, width)
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(read(start, start + width)) for start in starts]
    for start, task in zip(starts, reading, strict=True):
        if task.result() < start + width:
            return task.result()
    return newest.sequence
