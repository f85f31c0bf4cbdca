"""What users have used: facts of jobs added up by day, which outlive the jobs, and asked for by day."""

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import msgspec
from aiohttp import web

from services.common.bus import Bus
from services.common.consumer import Consumer, Delivery
from services.common.documents import Documents
from services.common.errors import ServiceError
from services.contracts import topology
from services.contracts.topology import Stream
from services.contracts.usage import DayUsed, Figures, JobUsed, added

AT_ONCE = 16
"""Days that are read at the same time."""


class Usage:
    """`run` adds up facts, `by_day` and `by_user` tell the sums."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._days = Documents(bus, Stream.DAYS, DayUsed)

    async def run(self, stop: asyncio.Event) -> None:
        """Add up what comes until the stop; any number of gateways may do so, one of them at a time."""
        spec = topology.USAGE
        consumer = Consumer(
            stream=spec.stream,
            durable=spec.name,
            ack_wait_seconds=spec.ack_wait_seconds,
            read=lambda delivery: msgspec.json.decode(delivery.data, type=JobUsed),
            handle=self.add,
            give_up=_give_up,
        )
        await consumer.run(self._bus, 1, stop)

    async def add(self, fact: JobUsed, delivery: Delivery) -> None:
        """Add a fact to its day's sum; one that is delivered again changes nothing."""
        day = _day(delivery.stored_at).isoformat()
        await self._days.change(
            topology.used_on(day, topology.owner_of_usage(delivery.subject)),
            lambda old: added(old, fact, delivery.sequence),
            default=DayUsed(user=fact.user),
        )

    async def today(self) -> date:
        """The day by the broker's clock, by which facts are dated."""
        return _day(await self._bus.now(Stream.JOB))

    async def by_day(self, owner: str, first: date, last: date) -> list[tuple[date, Figures]]:
        """What a user used on each day on which it was something."""
        days = _days(first, last)
        places = asyncio.Semaphore(AT_ONCE)

        async def read(day: date) -> DayUsed | None:
            async with places:
                return await self._days.get(topology.used_on(day.isoformat(), owner))

        found = await asyncio.gather(*map(read, days))
        return [(day, used.figures) for day, used in zip(days, found, strict=True) if used is not None]

    async def by_user(self, first: date, last: date) -> list[tuple[str, Figures]]:
        """What each user used, in the order of their names."""
        users: defaultdict[str, Figures] = defaultdict(Figures)
        places = asyncio.Semaphore(AT_ONCE)

        async def read(day: date) -> None:
            subjects, after = topology.used_on(day.isoformat()), 0
            async with places:
                while (stored := await self._bus.next(Stream.DAYS, subjects, after)) is not None:
                    after = stored.sequence
                    used = msgspec.json.decode(stored.data, type=DayUsed)
                    users[used.user] += used.figures

        await asyncio.gather(*map(read, _days(first, last)))
        return sorted(users.items())


USAGE = web.AppKey("usage", Usage)


async def _give_up(_fact: JobUsed, _delivery: Delivery, _error: ServiceError) -> None:
    """A fact that breaks us is left out; the log has it."""


def _day(time: float) -> date:
    return datetime.fromtimestamp(time, UTC).date()


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
