"""What the readers of one job share: the streams are read once for all of them, each event encoded once."""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import msgspec
from aiohttp import web
from prometheus_client import Gauge

from services.common.bus import woken_within
from services.contracts.messages import JobEnded, JobRecord
from services.gateway.answers import shown, viewed
from services.gateway.event_views import named
from services.gateway.forecast import Outlook, forecast
from services.gateway.jobs import Jobs
from services.gateway.ledger import Ledger
from services.gateway.progress import Progress
from services.gateway.results import Found, Results
from services.gateway.sse import encoded
from services.gateway.wakeups import Wakeups

RECHECK_SECONDS = 5.0
"""How long a lost wake-up can go unnoticed."""
KEPT_BYTES = 32 * 1024
"""Newest events that a feed keeps encoded; readers further behind read the stream for themselves."""

FOLLOWED = Gauge("whisper_jobs_followed", "Jobs whose events are being read")


class Told(msgspec.Struct, frozen=True):
    """A stored event, ready to be sent."""

    sequence: int
    data: bytes
    ends: int | None
    """The attempt that it ends."""
    stored_at: float
    """Unix time, by the broker's clock."""


class Standing(msgspec.Struct, frozen=True):
    """How a job stands, ready to be sent."""

    state: tuple[object, ...]
    """Whatever a reader must be told of at once."""
    percent: int
    data: bytes


class Feed:
    """One job as it is read in this process."""

    def __init__(self, jobs: Jobs, results: Results, wakeups: Wakeups, record: JobRecord, after: int) -> None:
        """Reads, until `close`, and keeps events from the one after sequence `after` on."""
        self._jobs = jobs
        self._results = results
        self.record = record
        self.progress = Progress()
        self.standing = _standing(record, self.progress, Outlook())
        self._ledger = Ledger()
        self.deleted = False
        self.final_since: float | None = None
        """When the record was first seen to be final (`time.monotonic`)."""
        self._read = after
        self._kept: list[Told] = []
        self._kept_after = after
        self._kept_bytes = 0
        self._confirmed = 0
        """Sequence of the last end that no attempt follows, as the leader knows."""
        self._readers: set[asyncio.Event] = set()
        self._looked = asyncio.Event()
        self._following = asyncio.create_task(self._follow(wakeups))
        self._following.add_done_callback(self._over)

    @property
    def over(self) -> bool:
        """Nothing is read any more: the job was deleted, or reading failed."""
        return self._following.done()

    async def ready(self) -> None:
        """Wait for what is stored by now; raises what `check` does."""
        await self._looked.wait()
        self.check()

    def now(self) -> float | None:
        """The broker's time, as far as it is known."""
        return self._jobs.clock.reckoned()

    def check(self) -> None:
        """Raise what ended the reading, such as `BrokerUnavailable`."""
        if self._following.done():
            self._following.result()

    async def close(self) -> None:
        """Read no more."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    @contextlib.contextmanager
    def waking(self, reader: asyncio.Event) -> Iterator[None]:
        """Set the event whenever there may be something new."""
        self._readers.add(reader)
        try:
            yield
        finally:
            self._readers.discard(reader)

    async def next(self, after: int) -> Told | None:
        """The first event known after this sequence."""
        if after < self._kept_after:
            found = await self._results.next(self.record, after)
            if found is not None:
                return _told(found)
        place = bisect_right(self._kept, after, key=_sequence)
        return self._kept[place] if place < len(self._kept) else None

    async def is_last(self, end: Told) -> bool:
        """Whether no attempt follows this end's, as far as anybody knows."""
        if end.ends is None or end.ends < self.record.attempt:
            return False
        if end.sequence != self._confirmed:
            self.record = await self._jobs.newest(self.record) or self.record
            self._confirmed = end.sequence
        return end.ends >= self.record.attempt

    async def _follow(self, wakeups: Wakeups) -> None:
        """Read what is new at every wake-up, and now and then without one, until the job is deleted."""
        with wakeups.on(self.record.id) as woken:
            while True:
                found_all = await self._look(woken.take())
                self._wake_readers()
                if not found_all:
                    woken.heard(result=False)
                if self.deleted:
                    return
                await woken_within(woken, RECHECK_SECONDS)

    def _wake_readers(self) -> None:
        self._looked.set()
        for reader in self._readers:
            reader.set()

    def _over(self, _following: asyncio.Task[None]) -> None:
        self._wake_readers()

    async def _look(self, results: int | None) -> bool:
        """Read so many results that are known to be stored; without a number, everything there may be.

        Says whether they were found: a replica may lag, or an earlier look may have read them.
        """
        if results is None:
            found = await self._jobs.get(self.record.owner, self.record.id)
            if found is None or found.deleted:
                self.deleted = True
                return True
            self._take(found)
            if not found.state.final:
                self._ledger = await self._jobs.ledger(found.owner)
            self.progress = await self._results.progress_to(self.record, self._read)
        read = 0
        while read != results and (news := await self._results.next(self.record, self._read)) is not None:
            self.progress.add(news.sequence, news.event, news.stored_at)
            self._keep(_told(news))
            await self.is_last(self._kept[-1])
            read += 1
        self.standing = _standing(self.record, self.progress, await self._outlook())
        return results is None or read == results

    async def _outlook(self) -> Outlook:
        """By what is known of the owner's jobs since the last full look."""
        view, now = viewed(self.record, self.progress), await self._jobs.clock.now()
        return forecast(self.record, view, self.progress.tempo, self._ledger, now)

    def _take(self, found: JobRecord) -> None:
        """The record now, unless a replica lags behind what the leader said."""
        known = self.record
        if (found.run, found.attempt) < (known.run, known.attempt):
            return
        if found.run != known.run:  # what the upload before it gave is nobody's text any more
            self._kept, self._kept_bytes, self._kept_after = [], 0, self._read
        self.record = found
        if not found.state.final:
            self.final_since = None
        elif self.final_since is None:
            self.final_since = time.monotonic()

    def _keep(self, told: Told) -> None:
        self._read = told.sequence
        self._kept.append(told)
        self._kept_bytes += len(told.data)
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            dropped = self._kept.pop(0)
            self._kept_bytes -= len(dropped.data)
            self._kept_after = dropped.sequence


class Feeds:
    """The jobs that are being read, each by one feed for as long as it has readers."""

    def __init__(self, jobs: Jobs, results: Results, wakeups: Wakeups) -> None:
        self._jobs = jobs
        self._results = results
        self._wakeups = wakeups
        self._feeds: dict[str, Feed] = {}
        self._readers: Counter[Feed] = Counter()

    @contextlib.asynccontextmanager
    async def following(self, record: JobRecord, after: int) -> AsyncIterator[Feed]:
        """The job's feed, which knows what is stored by now; a new one keeps events after `after`."""
        feed = self._feeds.get(record.id)
        if feed is None or feed.over:
            feed = self._feeds[record.id] = Feed(self._jobs, self._results, self._wakeups, record, after)
        self._readers[feed] += 1
        FOLLOWED.set(len(self._readers))
        try:
            await feed.ready()
            yield feed
        finally:
            await self._leave(feed)

    async def _leave(self, feed: Feed) -> None:
        """The last one out closes."""
        self._readers[feed] -= 1
        if self._readers[feed]:
            return
        del self._readers[feed]
        FOLLOWED.set(len(self._readers))
        if self._feeds.get(feed.record.id) is feed:
            del self._feeds[feed.record.id]
        await feed.close()


FEEDS = web.AppKey("feeds", Feeds)


def _told(found: Found) -> Told:
    name, data = named(found.event)
    return Told(
        sequence=found.sequence,
        data=encoded(data, event=name, sequence=found.sequence),
        ends=found.event.attempt if isinstance(found.event, JobEnded) else None,
        stored_at=found.stored_at,
    )


def _sequence(told: Told) -> int:
    return told.sequence


def _standing(record: JobRecord, progress: Progress, outlook: Outlook) -> Standing:
    job = shown(record, progress, outlook)
    return Standing(
        state=(job.status, job.upload.state, job.duration, job.attempt, job.position, job.hotwords_revision),
        percent=job.progress.percent if job.progress else 0,
        data=encoded(job, event="job"),
    )
