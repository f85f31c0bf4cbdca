"""Cancelling a job: it ends as cancelled, and its owner keeps what was transcribed."""

from enum import StrEnum

import msgspec
import structlog
from aiohttp import web
from prometheus_client import Counter

from services.common.bus import Bus
from services.contracts import attempts, topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobEnded, JobRecord, JobState, Problem
from services.contracts.topology import Stream
from services.contracts.usage import Tally
from services.contracts.webhooks import delivery_of
from services.gateway.errors import JobOver, NotFound
from services.gateway.jobs import Jobs
from services.gateway.results import Results

log = structlog.get_logger()

CANCELLED = Counter("whisper_jobs_cancelled_total", "Jobs that were cancelled", ["by"])


class By(StrEnum):
    """Who cancels a job."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"


for who in By:
    CANCELLED.labels(who)


class Cancellations:
    """Writes into a job's record that it is cancelled; the chunker that has it in hand then ends it.

    Where it still waits for a place, nobody has, and it is ended here. A gateway that dies on the way leaves
    the job's command, and the chunker that gets it goes on.
    """

    def __init__(self, bus: Bus, jobs: Jobs, results: Results) -> None:
        self._bus = bus
        self._jobs = jobs
        self._results = results

    async def cancel(self, record: JobRecord, by: By) -> JobRecord:
        """The cancelled job; once more changes nothing. Raises `JobOver`, or `NotFound` for a deleted job."""
        progress = await self._results.progress(record)
        if (end := progress.end_of(record.attempt)) is not None:
            if end.state is JobState.CANCELLED:
                return record
            raise _over(end.state)
        now = await self._bus.now(Stream.JOB)
        problem = Problem(
            code="cancelled",
            message=f"The job was cancelled by the {by}. The text covers what was transcribed until then.",
        )

        def cancelled(old: JobRecord) -> JobRecord:
            if old.deleted or old.state.final:
                return old
            return msgspec.structs.replace(old, state=JobState.CANCELLED, ended_at=now, problem=problem)

        changed = await self._jobs.change(record, cancelled)
        if changed is None or changed.deleted:
            raise NotFound("there is no such job")
        if changed.state is not JobState.CANCELLED:
            raise _over(changed.state)
        await self._end_waiting(changed, progress.end_of(changed.attempt - 1))
        run = run_id(record.id, changed.run)
        await self._bus.purge(Stream.CHUNK, topology.chunk("*", record.owner, run))
        CANCELLED.labels(by).inc()
        log.info("job_cancelled", run=changed.run, attempt=changed.attempt)
        return changed

    async def _end_waiting(self, record: JobRecord, before: JobEnded | None) -> None:
        """End a job that has no place, and take it out of the queue; `before` ended its earlier attempt."""
        if await self._bus.last(Stream.CTL, attempts.command_subject(record), by_leader=True) is not None:
            return
        known = before or JobEnded(state=record.state, attempt=record.attempt, chunks=0, duration=0)
        end = msgspec.structs.replace(
            known, state=record.state, attempt=record.attempt, problem=record.problem
        )
        facts = Tally().facts(record.user, record.owner, record.id, record.run, record.attempt)
        for subject, fact in facts.items():
            await self._bus.create(subject, msgspec.json.encode(fact))
        run = run_id(record.id, record.run)
        await self._bus.create(topology.end(run, record.attempt), msgspec.json.encode(end))
        if (delivery := delivery_of(record)) is not None:
            await self._bus.create(delivery.subject, msgspec.json.encode(delivery))
        await self._bus.purge(Stream.CTL, attempts.waiting_subject(record))


CANCELLATIONS = web.AppKey("cancellations", Cancellations)


def _over(state: JobState) -> JobOver:
    return JobOver(f"the job has ended already, as {state}: there is nothing to cancel")
