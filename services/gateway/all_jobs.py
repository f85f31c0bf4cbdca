"""Everybody's jobs in one list, for administrators, by their state or user."""

import asyncio
from bisect import bisect_left, insort

import msgspec
from aiohttp import web

from services.common.bus import Bus, Stored
from services.common.documents import Documents
from services.common.scan import scanned
from services.contracts import topology
from services.contracts.identifiers import is_job_id
from services.contracts.messages import JobRecord, JobState
from services.contracts.topology import Stream
from services.gateway.errors import NotFound

KEPT = 200_000
"""The newest jobs, which are listed; one takes some 260 bytes of memory once an administrator has asked."""
LOOKED_AT = 20_000
"""Jobs that one request goes through at the most; where few of them match, it shows fewer than it might."""


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a job stands in the list."""

    created_at: float
    id: str


class Entry(msgspec.Struct, frozen=True):
    """What of a job the list is searched by."""

    place: Place
    user: str
    owner: str
    state: JobState


class AllJobs:
    """Reads nothing before the first question, and then what has changed since the last one."""

    def __init__(self, bus: Bus, *, keep: int = KEPT, look_at: int = LOOKED_AT) -> None:
        self._bus = bus
        self._keep = keep
        self._look_at = look_at
        self._records = Documents(bus, Stream.JOB, JobRecord)
        self._entries: dict[str, Entry] = {}
        self._sorted: list[Place] = []
        self._users: dict[str, str] = {}
        """Each name once, however many jobs there are."""
        self._sequence = 0
        self._reading = asyncio.Lock()

    async def find(self, job: str) -> JobRecord:
        """The record of anybody's job; raises `NotFound`."""
        record = await self._records.newest(topology.job_record("*", job)) if is_job_id(job) else None
        if record is None or record.deleted:
            raise NotFound("there is no such job")
        return record

    async def page(
        self, limit: int, before: Place | None, *, state: JobState | None, user: str | None
    ) -> tuple[list[JobRecord], Place | None]:
        """Up to `limit` jobs of this state and user, newest first; and the place before the ones to come."""
        async with self._reading:
            await self._read()
        end = len(self._sorted) if before is None else bisect_left(self._sorted, before)
        found: list[Entry] = []
        place = None
        for place in reversed(self._sorted[max(0, end - self._look_at) : end]):
            entry = self._entries[place.id]
            if state in (None, entry.state) and user in (None, entry.user):
                found.append(entry)
            if len(found) == limit:
                break
        read = (self._records.get(topology.job_record(entry.owner, entry.place.id)) for entry in found)
        records = await asyncio.gather(*read)
        more = place is not None and place != self._sorted[0]
        return [record for record in records if record and not record.deleted], place if more else None

    async def _read(self) -> None:
        """Take in what has changed."""
        subjects = topology.job_record("*", "*")
        if not self._sequence:
            self._sequence = await scanned(self._bus, Stream.JOB, subjects, self._take)
        while (stored := await self._bus.next(Stream.JOB, subjects, self._sequence)) is not None:
            self._take(stored)
            self._sequence = stored.sequence

    def _take(self, stored: Stored) -> None:
        if not stored.data:
            return
        record = msgspec.json.decode(stored.data, type=JobRecord)
        known = self._entries.pop(record.id, None)
        if known is not None:
            del self._sorted[bisect_left(self._sorted, known.place)]
        if record.deleted:
            return
        place = Place(record.created_at, record.id)
        insort(self._sorted, place)
        self._entries[record.id] = Entry(
            place=place,
            user=self._users.setdefault(record.user, record.user),
            owner=self._users.setdefault(record.owner, record.owner),
            state=record.state,
        )
        if len(self._sorted) > self._keep:
            del self._entries[self._sorted.pop(0).id]


ALL_JOBS = web.AppKey("all_jobs", AllJobs)
