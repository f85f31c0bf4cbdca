"""What the stream of results holds about a job's current run: its events, progress and transcript."""

from collections import OrderedDict
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobEvent, JobRecord
from services.contracts.topology import Stream
from services.gateway.progress import Progress
from services.gateway.transcript import Transcript

PROGRESSES = 1000
"""Runs whose progress stays in memory; one takes up to 100 kB for ten hours of audio."""


class Found(msgspec.Struct, frozen=True):
    """An event as the stream holds it."""

    sequence: int
    event: JobEvent
    stored_at: float
    """Unix time, by the broker's clock."""


class Results:
    """Reads results; progress is folded once and then kept up."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._progresses: OrderedDict[str, Progress] = OrderedDict()

    async def next(self, record: JobRecord, after: int) -> Found | None:
        """The first event after sequence `after`, if it is stored by now."""
        stored = await self._bus.next(Stream.RES, topology.results(run_id(record.id, record.run)), after)
        if stored is None:
            return None
        event: JobEvent = msgspec.json.decode(stored.data, type=JobEvent)
        return Found(stored.sequence, event, stored.stored_at)

    async def events(self, record: JobRecord, after: int = 0) -> AsyncIterator[Found]:
        """The events stored by now after sequence `after`."""
        while (found := await self.next(record, after)) is not None:
            after = found.sequence
            yield found

    async def progress(self, record: JobRecord) -> Progress:
        """The progress as of now; the same object for every reader of this run."""
        progress = self._progress(record)
        async for found in self.events(record, progress.sequence):
            progress.add(found.sequence, found.event, found.stored_at)
        return progress

    async def progress_to(self, record: JobRecord, sequence: int) -> Progress:
        """The same object, with every event up to this sequence; whoever reads on adds what follows."""
        progress = self._progress(record)
        return progress if progress.sequence >= sequence else await self.progress(record)

    async def transcript(self, record: JobRecord) -> Transcript:
        """Everything known by now."""
        transcript = Transcript()
        async for found in self.events(record):
            transcript.add(found.event)
        return transcript

    def _progress(self, record: JobRecord) -> Progress:
        run = run_id(record.id, record.run)
        progress = self._progresses.setdefault(run, Progress())
        self._progresses.move_to_end(run)
        while len(self._progresses) > PROGRESSES:
            self._progresses.popitem(last=False)
        return progress


RESULTS = web.AppKey("results", Results)
