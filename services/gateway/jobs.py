"""The stored records of jobs: found by owner and id, changed by compare-and-set, listed newest first."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from aiohttp import web

from services.common.broker_clock import BrokerClock
from services.common.bus import Bus, Stored
from services.common.documents import Documents
from services.common.queues import erase_forgotten
from services.common.scan import scanned
from services.contracts import attempts, topology
from services.contracts.identifiers import is_job_id, run_id
from services.contracts.messages import HEADER, EndOfUpload, JobOptions, JobRecord, JobState, UploadState
from services.contracts.topology import CHUNKERS, Stream
from services.gateway.cursor import decoded, encoded
from services.gateway.errors import NotFound
from services.gateway.forecast import Outlook, forecast
from services.gateway.job_index import Entry, JobIndex
from services.gateway.ledger import Ledger
from services.gateway.progress import View
from services.gateway.recent_records import RecentRecords
from services.gateway.tempo import Tempo
from services.gateway.uncounted import count_use

ENTRIES_INDEXED = 200_000
"""Jobs whose place in their owner's list stays in memory; one takes some 700 bytes."""


class Jobs:
    """Every job of every owner, behind its owner's name."""

    def __init__(self, bus: Bus, changed: Callable[[str], None] = lambda _job: None) -> None:
        """`changed` is told of each job that is changed here, before its wake-up comes."""
        self._bus = bus
        self._changed = changed
        self.clock = BrokerClock(bus, Stream.JOB)
        self._records = Documents(bus, Stream.JOB, JobRecord)
        self._recent = RecentRecords()
        self._indexes: OrderedDict[str, JobIndex] = OrderedDict()

    async def get(self, owner: str, job: str) -> JobRecord | None:
        """The record, a deleted job's too."""
        return await self._records.get(topology.job_record(owner, job)) if is_job_id(job) else None

    async def newest(self, record: JobRecord) -> JobRecord | None:
        """The record as it is for certain; `get` may be answered by a replica that lags."""
        return await self._records.newest(topology.job_record(record.owner, record.id))

    async def visible(self, owner: str, job: str) -> JobRecord:
        """The record of a job that this owner may see; raises `NotFound`."""
        record = await self.get(owner, job)
        if record is None or record.deleted:
            raise NotFound("there is no such job")
        return record

    async def create(self, record: JobRecord) -> bool:
        """Store a new record; False when there is one. `created_at` tells our own lost answer from a race."""
        if await self._records.create(topology.job_record(record.owner, record.id), record):
            return True
        return await self.get(record.owner, record.id) == record

    async def replace(self, seen: JobRecord, new: JobRecord) -> bool:
        """Store `new` if the record is still as it was `seen`."""
        stored = await self.change(seen, lambda old: new if old == seen else old)
        return stored == new

    async def change(self, record: JobRecord, change: Callable[[JobRecord], JobRecord]) -> JobRecord | None:
        """Change the stored record by a pure function, again where somebody else was faster."""
        changed = await self._records.change(topology.job_record(record.owner, record.id), change)
        self._changed(record.id)
        return changed

    async def start(self, record: JobRecord) -> None:
        """Hand this attempt at the job to the chunkers; once is enough, twice does no harm."""
        await self._bus.create(
            attempts.waiting_subject(record), msgspec.json.encode(attempts.command(record))
        )

    async def restart(self, record: JobRecord) -> bool:
        """The same where nobody would ever work on the job: its command was lost, or is given to nobody."""
        waiting, running = attempts.waiting_subject(record), attempts.command_subject(record)
        if await self._bus.last(Stream.CTL, waiting, by_leader=True) is not None:
            return False
        there = await self._bus.last(Stream.CTL, running, by_leader=True) is not None
        if there and not await erase_forgotten(self._bus, CHUNKERS[record.lane].queue, running):
            return False
        await self.start(record)
        return True

    async def retry(self, record: JobRecord, duration: int | None) -> JobRecord | None:
        """Begin the attempt after the record's, which has ended; None where the job was deleted meanwhile.

        The command is stored first: without the record nobody obeys it, and once the record says so
        somebody does.
        """
        await self.start(attempts.retried(record))

        def begun(old: JobRecord) -> JobRecord:
            if old.deleted or (old.run, old.attempt) != (record.run, record.attempt):
                return old
            return msgspec.structs.replace(attempts.retried(old), duration=duration)

        changed = await self.change(record, begun)
        return None if changed is None or changed.deleted else changed

    async def page(self, owner: str, limit: int, after: str | None) -> tuple[list[JobRecord], str | None]:
        """Up to `limit` jobs, newest first, after the cursor; and the cursor of the next page."""
        before = decoded(after, Entry) if after else None
        index = await self._index(owner)
        entries, more = index.page(limit, before)
        listed = (self._listed(owner, entry.id, index.sequence_of(entry)) for entry in entries)
        found = await asyncio.gather(*listed)
        next_page = encoded(entries[-1]) if more else None
        return [record for record in found if record and not record.deleted], next_page

    async def _listed(self, owner: str, job: str, sequence: int) -> JobRecord | None:
        """The record as it is in the list, from memory if its newest version is there."""
        subject = topology.job_record(owner, job)
        stored = self._recent.get(subject, sequence)
        if stored is None and (stored := await self._bus.last(Stream.JOB, subject)) is not None:
            self._recent.put(stored)
        return msgspec.json.decode(stored.data, type=JobRecord) if stored and stored.data else None

    async def ledger(self, owner: str) -> Ledger:
        """What the owner has, as of now."""
        return (await self._index(owner)).ledger

    async def outlook(self, record: JobRecord, view: View, tempo: Tempo) -> Outlook:
        """When the job will be done, as far as that is known."""
        if record.state.final:
            return Outlook()
        return forecast(record, view, tempo, await self.ledger(record.owner), await self.clock.now())

    async def latest_of_session(self, owner: str, session: str) -> JobRecord | None:
        """The newest job that this session uploaded."""
        newest = (await self._index(owner)).newest_of(session)
        return await self.get(owner, newest.id) if newest else None

    async def _index(self, owner: str) -> JobIndex:
        """The owner's index, with everything that is stored by now."""
        index = self._indexes.setdefault(owner, JobIndex())
        self._indexes.move_to_end(owner)
        subjects = topology.job_record(owner, "*")
        if not index.sequence:
            async with index.building:
                if not index.sequence:
                    index.sequence = await scanned(self._bus, Stream.JOB, subjects, index.add)
        while (stored := await self._bus.next(Stream.JOB, subjects, index.sequence)) is not None:
            if stored.sequence > index.sequence:  # nobody else was faster
                index.sequence = stored.sequence
                index.add(stored)
        self._forget_others(owner)
        return index

    def _forget_others(self, owner: str) -> None:
        """Drop the indexes asked for the longest ago, where all together are too large."""
        entries = sum(map(len, self._indexes.values()))
        while entries > ENTRIES_INDEXED and next(iter(self._indexes)) != owner:
            _, dropped = self._indexes.popitem(last=False)
            entries -= len(dropped)

    async def delete(self, record: JobRecord) -> None:
        """Leave a tombstone first, so that nothing late is shown, then erase audio and results."""
        await self.change(record, tombstone)
        await self.erase(record)

    async def erase(self, record: JobRecord) -> None:
        """Erase everything that any run of this job left in the streams."""
        for number in range(record.run + 1):
            await self.erase_run(record, number)

    async def erase_run(self, record: JobRecord, number: int) -> None:
        """Erase audio, chunks, results, command and deliveries of one run, whose use stays counted."""
        run = run_id(record.id, number)
        await count_use(self._bus, record, number)
        await self._bus.purge(Stream.CTL, topology.waiting("*", record.owner, run))
        await self._bus.purge(Stream.CTL, topology.control("*", record.owner, run))
        await self._bus.purge(Stream.CHUNK, topology.chunk("*", record.owner, run))
        await self._bus.purge(Stream.RES, topology.results(run))
        await self._bus.purge(Stream.UP, topology.part(run))
        await self._bus.purge(Stream.HOOKS, topology.delivery(record.owner, run))


JOBS = web.AppKey("jobs", Jobs)


def tombstone(record: JobRecord) -> JobRecord:
    """What stays of a deleted job: nothing that was said in it, no name and no hotwords.

    It is smaller than the record, so that it finds room in a full stream, where deleting is what helps.
    """
    state = record.state if record.state.final else JobState.CANCELLED
    return msgspec.structs.replace(
        record,
        deleted=True,
        state=state,
        name="",
        problem=None,
        options=JobOptions(),
        hotword_list=None,
        sha256=None,
        announced_bytes=None,
    )


async def last_part(bus: Bus, record: JobRecord) -> Stored | None:
    """The part of the record's current run with the highest number."""
    subjects = await bus.subjects(Stream.UP, topology.part(run_id(record.id, record.run)))
    if not subjects:
        return None
    return await bus.last(Stream.UP, max(subjects, key=lambda subject: int(subject.rpartition(".")[2])))


def settled_upload(record: JobRecord, last: Stored | None) -> JobRecord:
    """The record as its upload's last part says, where nobody lived to write it down."""
    if last is None or HEADER not in last.headers:
        return record
    end = msgspec.json.decode(last.headers[HEADER], type=EndOfUpload)
    state = UploadState.INTERRUPTED if end.interrupted else UploadState.STORED
    return msgspec.structs.replace(record, upload=state, upload_bytes=end.bytes, sha256=end.sha256)
