"""What is known of one run: its stored cuts, and which chunks have their text or their gap."""

import asyncio
from collections.abc import Callable

import msgspec
from prometheus_client import Counter, Histogram

from services.common.bus import Bus, woken_within
from services.common.documents import Documents
from services.common.room import when_room
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobRecord,
    JobState,
    Problem,
    StartJob,
)
from services.contracts.topology import Stream
from services.contracts.usage import Figures, Tally

RECHECK_SECONDS = 2.0

DECODED_SECONDS = Counter("whisper_decoded_audio_seconds_total", "Audio decoded and cut, each stretch once")
SKIPPED_SECONDS = Counter("whisper_skipped_audio_seconds_total", "Of it, without speech: not transcribed")
ENDED = Counter("whisper_jobs_ended_total", "Attempts at jobs that ended", ["state"])
REAL_TIME_FACTOR = Histogram(
    "whisper_job_real_time_factor",
    "Seconds from taking a job to its end, by seconds of its recording; of jobs completed at once",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
for final in (state for state in JobState if state.final):
    ENDED.labels(final)


class JobGoneError(Exception):
    """The job was deleted, or its upload begun anew: this run is nobody's business any more."""


class JobCancelledError(Exception):
    """The job was cancelled: it ends here, and keeps what it has."""


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
        self.first_text_at: float | None = None
        """When the first text was stored, by the broker's clock."""
        self._ended_at = 0.0
        self._tally = Tally()

    async def load(self) -> None:
        """Read everything stored so far."""
        while (
            stored := await self._bus.next(Stream.RES, topology.results(self.run), self._after)
        ) is not None:
            self._after = stored.sequence
            self._apply(msgspec.json.decode(stored.data, type=JobEvent), stored.stored_at)

    async def close(self, end: JobEnded, record: JobRecord) -> JobEnded:
        """Store what the attempt used, and then its end: this one, or that of a process that was faster.

        Who stored it counts it, so that nothing counts twice, whatever is repeated after a crash.
        """
        command = self._command
        facts = self._tally.facts(record.user, command.owner, command.job, command.run, command.attempt, end)
        for subject, fact in facts.items():
            await self._store(subject, fact)
        rest = self._tally.rest(end)
        ours = await self._store(topology.end(self.run, end.attempt), end)
        if ours:
            _count(rest)
            ENDED.labels(end.state).inc()
        await self.load()
        if ours and self.end is not None and record.started_at is not None:
            _compare(end, self._ended_at - record.started_at)
        return self.end or end

    async def plan(self, cut: ChunkCut) -> None:
        """Store a cut; one that is there already was made by the same rules from the same bytes."""
        if await self._store(topology.cut(self.run, cut.chunk), cut):
            skipped = sum(gap.end - gap.start for gap in cut.skipped)
            _count(Figures(audio=skipped + cut.end - cut.start, skipped=skipped))

    async def leave_gaps(self, problem: Problem) -> None:
        """Mark every chunk that was cut and has no text as a gap of this attempt."""
        for number in sorted(self.cuts.keys() - self.settled):
            cut, attempt = self.cuts[number], self._command.attempt
            gap = ChunkFailed(
                chunk=number,
                channel=cut.channel,
                start=cut.start,
                end=cut.end,
                attempt=attempt,
                problem=problem,
            )
            await self._store(topology.gap(self.run, number, attempt), gap)

    async def follow(self, looked: Callable[[], None]) -> None:
        """Keep up as long as nobody cancels this task; tells of each look.

        Raises `JobGoneError` when the job is deleted or begun anew, `JobCancelledError` when it is cancelled.
        """
        subjects = (
            topology.live_results(self.run),
            topology.live_job(self._command.owner, self._command.job),
        )
        async with self._bus.woken_by(*subjects) as woken:
            while True:
                await self._check_record()
                await self.load()
                looked()
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

    async def _store(self, subject: str, fact: msgspec.Struct) -> bool:
        """Whether it was not there yet."""
        data = msgspec.json.encode(fact)
        return await when_room(lambda: self._bus.create(subject, data))

    async def _check_record(self) -> None:
        subject = topology.job_record(self._command.owner, self._command.job)
        record = await self._jobs.get(subject)
        if self._gone(record):
            record = await self._jobs.newest(subject)
        if record is None or self._gone(record):
            raise JobGoneError
        if record.state is JobState.CANCELLED:
            raise JobCancelledError

    def _gone(self, record: JobRecord | None) -> bool:
        return record is None or record.deleted or record.run != self._command.run

    def _apply(self, event: JobEvent, stored_at: float) -> None:
        self._tally.add(event)
        match event:
            case ChunkCut():
                self.cuts[event.chunk] = event
            case ChunkTranscribed():
                self.settled.add(event.chunk)
                if self.first_text_at is None:
                    self.first_text_at = stored_at
            case ChunkFailed() if event.attempt == self._command.attempt:
                self.settled.add(event.chunk)
            case JobEnded() if event.attempt == self._command.attempt:
                self.end, self._ended_at = event, stored_at
            case JobEnded() if event.state not in (JobState.FAILED, JobState.CANCELLED):
                self.whole = self.whole or event


def _compare(end: JobEnded, seconds: float) -> None:
    """The time that a job took with the length of its recording."""
    if end.state is JobState.COMPLETED and not end.attempt and end.duration:
        REAL_TIME_FACTOR.observe(max(0.0, seconds) * SAMPLE_RATE / end.duration)


def _count(figures: Figures) -> None:
    DECODED_SECONDS.inc(figures.audio / SAMPLE_RATE)
    SKIPPED_SECONDS.inc(figures.skipped / SAMPLE_RATE)
