"""What is known of one run: its stored cuts, and which chunks have their text or their gap."""

import asyncio

import msgspec

from services.common.bus import Bus, woken_within
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobRecord,
    JobState,
    StartJob,
)
from services.contracts.topology import Stream

RECHECK_SECONDS = 2.0


class JobGoneError(Exception):
    """The job was deleted, or its upload begun anew: this run is nobody's business any more."""


class Outcomes:
    """Follows the results of a run; `follow` must run beside whoever waits."""

    def __init__(self, bus: Bus, command: StartJob) -> None:
        self._bus = bus
        self._command = command
        self._jobs = Documents(bus, Stream.JOB, JobRecord)
        self._after = 0
        self._changed = asyncio.Condition()
        self.looks = 0
        """How often the results were looked at."""
        self.run = run_id(command.job, command.run)
        self.cuts: dict[int, ChunkCut] = {}
        self.settled: set[int] = set()
        self.end: JobEnded | None = None
        self.whole: JobEnded | None = None
        """The end of the earlier attempt that cut the whole recording: this one has its gaps to fill."""

    async def load(self) -> None:
        """Read everything stored so far."""
        while (
            stored := await self._bus.next(Stream.RES, topology.results(self.run), self._after)
        ) is not None:
            self._after = stored.sequence
            self._apply(msgspec.json.decode(stored.data, type=JobEvent))

    async def follow(self) -> None:
        """Keep up until cancelled; raises `JobGoneError` when the job is deleted or begun anew."""
        subjects = (
            topology.live_results(self.run),
            topology.live_job(self._command.owner, self._command.job),
        )
        async with self._bus.woken_by(*subjects) as woken:
            while True:
                await self._check_record()
                await self.load()
                async with self._changed:
                    self.looks += 1
                    self._changed.notify_all()
                await woken_within(woken, RECHECK_SECONDS)
                woken.clear()

    async def until_settled(self, *chunks: int) -> None:
        """Wait until all of these chunks have a text or a gap."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.settled.issuperset(chunks))

    async def until_looked(self, looks: int) -> None:
        """Wait until the results were looked at more often than `looks` times."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.looks > looks)

    def stored_cuts(self) -> tuple[ChunkCut, ...]:
        """The cuts of chunks 0, 1, ... up to the first that is missing."""
        cuts: list[ChunkCut] = []
        while (cut := self.cuts.get(len(cuts))) is not None:
            cuts.append(cut)
        return tuple(cuts)

    async def _check_record(self) -> None:
        subject = topology.job_record(self._command.owner, self._command.job)
        if self._gone(await self._jobs.get(subject)) and self._gone(await self._jobs.newest(subject)):
            raise JobGoneError

    def _gone(self, record: JobRecord | None) -> bool:
        return record is None or record.deleted or record.run != self._command.run

    def _apply(self, event: JobEvent) -> None:
        match event:
            case ChunkCut():
                self.cuts[event.chunk] = event
            case ChunkTranscribed():
                self.settled.add(event.chunk)
            case ChunkFailed() if event.attempt == self._command.attempt:
                self.settled.add(event.chunk)
            case JobEnded() if event.attempt == self._command.attempt:
                self.end = event
            case JobEnded() if event.state is not JobState.FAILED:
                self.whole = self.whole or event
