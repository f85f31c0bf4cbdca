"""Erases what is due and picks up what fell: any number of gateways may run it, any number of times."""

import asyncio
import time

import msgspec
import structlog
from prometheus_client import Counter
from structlog.contextvars import bound_contextvars

from services.common.bus import Bus, Stored, woken_within
from services.common.errors import ServiceError
from services.contracts import topology, traces
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord, JobState, UploadState
from services.contracts.topology import DAY_SECONDS, Stream
from services.gateway.claim import DEAD_SECONDS
from services.gateway.jobs import Jobs, last_part, settled_upload
from services.gateway.remembered import WALK_SECONDS, Known, Remembered
from services.gateway.settings import Settings

log = structlog.get_logger()

TOMBSTONE_MARGIN_SECONDS = DAY_SECONDS
LONGEST_PAUSE_SECONDS = WALK_SECONDS
"""What was erased is erased again, ever more rarely: a killed broker may bring purged messages back."""
STRETCH = 100
"""Jobs looked at in one go: most need nothing, and others have to get their turn."""

ROUNDS = Counter("whisper_janitor_rounds_total", "Rounds that the janitor made")
ACTIONS = Counter("whisper_janitor_actions_total", "What the janitor did", ["action"])
for action in (
    "work_erased",
    "text_expired",
    "tombstone_dropped",
    "erased_again",
    "restarted",
    "audio_expired",
    "upload_settled",
):
    ACTIONS.labels(action)


class Janitor:
    """Looks after the jobs of which something may be due."""

    def __init__(self, bus: Bus, jobs: Jobs, settings: Settings) -> None:
        self._bus = bus
        self._jobs = jobs
        self._settings = settings
        self._remembered = Remembered(bus, settings)

    async def run(self, stop: asyncio.Event) -> None:
        """Make rounds until the process stops; at its start others have more urgent questions."""
        pause = min(self._settings.janitor_seconds, max(1.0, self._settings.audio_retention_seconds))
        while True:
            await woken_within(stop, pause)
            if stop.is_set():
                return
            try:
                await self.round()
            except ServiceError as error:
                log.info("janitor_deferred", error=str(error))

    async def round(self) -> None:
        """Look at every job once that something may be due of."""
        self._remembered.begin(await self._bus.now(Stream.UP))
        more = True
        while more:
            more = await self._remembered.learn()
            await self._sweep()
            for number, (subject, known) in enumerate(self._remembered):
                if number % STRETCH == 0:
                    await asyncio.sleep(0)
                with bound_contextvars(**traces.log_keys(known.record.id, known.record.trace)):
                    try:
                        await self._look_after(subject, known)
                    except ServiceError as error:
                        log.info("janitor_deferred", error=str(error))
            self._remembered.forget()
        ROUNDS.inc()

    async def _sweep(self) -> None:
        """Erase queued work of jobs that ended a while ago: a killed broker may keep what was acked."""
        over = {
            run_id(known.record.id, known.record.run): known.record
            for _, known in self._remembered
            if known.record.state.final and self._age(known) >= self._settings.janitor_seconds
        }
        for stream in (Stream.CHUNK, Stream.CTL):
            queued = {topology.run_of_work(subject) for subject in await self._bus.subjects(stream, ">")}
            for run in queued & over.keys():
                await self._erase_work(over[run], run)

    async def _erase_work(self, record: JobRecord, run: str) -> None:
        """Erase what no chunker or transcriber will take any more, unless the job goes on by now."""
        newest = await self._jobs.newest(record)
        if newest is None or not newest.state.final or await self._is_to_end(newest, run):
            return
        commands = await self._bus.subjects(Stream.CTL, topology.work("*", record.owner, run))
        if all(topology.attempt_of_command(command) <= newest.attempt for command in commands):
            for command in commands:
                await self._bus.purge(Stream.CTL, command)
            await self._bus.purge(Stream.CHUNK, topology.chunk("*", record.owner, run))
            ACTIONS.labels("work_erased").inc()

    async def _is_to_end(self, record: JobRecord, run: str) -> bool:
        """Whether a chunker has yet to end a job that was cancelled, for which it needs the command."""
        if record.deleted or record.state is not JobState.CANCELLED:
            return False
        return await self._bus.last(Stream.RES, topology.end(run, record.attempt), by_leader=True) is None

    async def _look_after(self, subject: str, known: Known) -> None:
        record, age = known.record, self._age(known)
        if record.deleted:
            await self._bury(subject, known, age)
        elif not record.state.final:
            await self._rescue(record, age)
        elif self._remembered.now - record.created_at > self._settings.text_retention_seconds:
            await self._jobs.delete(record)
            ACTIONS.labels("text_expired").inc()
        else:
            await self._tidy(known, age)

    async def _bury(self, subject: str, known: Known, age: float) -> None:
        """Erase again what may have come back, and in the end the tombstone itself."""
        longest = max(self._settings.audio_retention_seconds, self._settings.text_retention_seconds)
        if age > longest + TOMBSTONE_MARGIN_SECONDS:
            await self._bus.purge(Stream.JOB, subject)
            self._remembered.drop(subject)
            ACTIONS.labels("tombstone_dropped").inc()
        elif _due(known, self._settings.janitor_seconds):
            await self._jobs.erase(known.record)
            ACTIONS.labels("erased_again").inc()

    async def _rescue(self, record: JobRecord, age: float) -> None:
        """Hand a job to the chunkers again whose command was never stored, or was lost or forgotten."""
        if age < self._settings.orphan_seconds:
            return
        if record.upload is UploadState.RECEIVING:
            last = await last_part(self._bus, record)
            if self._alive(last):
                return
            record = await self._settle(record, settled_upload(record, last))
        if await self._jobs.restart(record):
            ACTIONS.labels("restarted").inc()
            log.warning("job_restarted", run=record.run)

    async def _tidy(self, known: Known, age: float) -> None:
        """Erase the audio of a job that ended, and say so of an upload that ended with it."""
        record = known.record
        if record.upload is UploadState.RECEIVING and age > DEAD_SECONDS:
            await self._end_upload(record)
        received = record.upload is not UploadState.RECEIVING
        expired = age >= self._settings.audio_retention_seconds
        if received and expired and _due(known, self._settings.janitor_seconds):
            await self._bus.purge(Stream.UP, topology.part(run_id(record.id, record.run)))
            for number in range(record.run):  # uploads that broke off, erased when the next one began
                await self._jobs.erase_run(record, number)
            ACTIONS.labels("audio_expired").inc()

    async def _end_upload(self, record: JobRecord) -> None:
        """Settle an upload that nobody lived to settle; one may outlive a job that failed early."""
        last = await last_part(self._bus, record)
        if self._alive(last):
            return
        settled = settled_upload(record, last)
        if settled.upload is UploadState.RECEIVING:
            settled = msgspec.structs.replace(record, upload=UploadState.INTERRUPTED)
        await self._settle(record, settled)

    async def _settle(self, record: JobRecord, settled: JobRecord) -> JobRecord:
        """Write what the last part says of an upload into its record."""
        if settled == record:
            return record

        def change(old: JobRecord) -> JobRecord:
            if old.run != record.run or old.upload is not UploadState.RECEIVING:
                return old
            return msgspec.structs.replace(
                old, upload=settled.upload, upload_bytes=settled.upload_bytes, sha256=settled.sha256
            )

        ACTIONS.labels("upload_settled").inc()
        return await self._jobs.change(record, change) or record

    def _age(self, known: Known) -> float:
        """For how long (s) the record has been as it is."""
        return self._remembered.now - known.changed_at

    def _alive(self, last: Stored | None) -> bool:
        """Whether an upload's last part is so new that more may come."""
        return last is not None and self._remembered.now - last.stored_at < DEAD_SECONDS


def _due(known: Known, first_pause_seconds: float) -> bool:
    """Whether to erase now; each time the next one is put off twice as long."""
    now = time.monotonic()
    if now < known.next_at:
        return False
    known.pause_seconds = min(LONGEST_PAUSE_SECONDS, max(first_pause_seconds, 2 * known.pause_seconds))
    known.next_at = now + known.pause_seconds
    return True
