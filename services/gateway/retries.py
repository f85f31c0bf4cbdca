"""Trying the gaps of a job again: whether that can work, and the job's next attempt."""

import structlog
from aiohttp import web
from prometheus_client import Counter

from services.common.bus import Bus
from services.contracts import topology, traces
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord, JobState, UploadState
from services.contracts.topology import Stream
from services.gateway.errors import AudioExpired, JobCancelled, JobRunning, NoGaps, NotFound, UploadInProgress
from services.gateway.jobs import Jobs
from services.gateway.results import Results

log = structlog.get_logger()

BUSY_RETRY_SECONDS = 5.0

RETRIES_BEGUN = Counter("whisper_retries_total", "Jobs whose gaps were tried again")


class Retries:
    """Begins attempts; the chunkers make them."""

    def __init__(self, bus: Bus, jobs: Jobs, results: Results) -> None:
        self._bus = bus
        self._jobs = jobs
        self._results = results

    async def begin(self, record: JobRecord) -> JobRecord:
        """The record of the attempt that fills the job's gaps, be it new or under way already.

        Raises `JobRunning`, `JobCancelled`, `UploadInProgress`, `NoGaps`, `AudioExpired`, or `NotFound` for a
        deleted job.
        """
        progress = await self._results.progress(record)
        end = progress.end_of(record.attempt)
        if end is None and (record.state is JobState.CANCELLED or not record.state.final):
            if record.attempt == 0 or record.state.final:
                raise JobRunning("the job is still running; once it has ended, its gaps can be tried again")
            return record
        if record.state is JobState.CANCELLED and record.attempt == 0:
            raise JobCancelled("the job was cancelled before all of it was heard: send the recording again")
        await self._check(record, progress.gaps)
        begun = await self._jobs.retry(record, (end and end.duration) or record.duration)
        if begun is None:
            raise NotFound("there is no such job")
        RETRIES_BEGUN.inc()
        keys = traces.log_keys(begun.id, begun.trace)  # the request may have brought a repeat of this job
        log.info("retry_begun", **keys, run=record.run, attempt=begun.attempt, gaps=progress.gaps)
        return begun

    async def _check(self, record: JobRecord, gaps: int) -> None:
        if record.upload is UploadState.RECEIVING:
            raise UploadInProgress(
                "the recording is still being uploaded; try again when that is over",
                retry_after=BUSY_RETRY_SECONDS,
            )
        if not gaps:
            raise NoGaps("the job has no gaps: there is nothing to try again")
        if not await self._bus.subjects(Stream.UP, topology.part(run_id(record.id, record.run), 0)):
            raise AudioExpired(
                "the recording itself is erased by now, so its gaps cannot be filled; send it again"
            )


RETRIES = web.AppKey("retries", Retries)
