"""`GET /v1/jobs/{id}/events`: what happened to a job, from any point on, until its end."""

import asyncio
import time

from aiohttp import web

from services.common.bus import woken_within
from services.contracts.messages import JobEnded, JobRecord
from services.gateway.answers import Job, shown
from services.gateway.caller import caller, may_listen
from services.gateway.errors import InvalidRequest
from services.gateway.event_views import end_of_record, named
from services.gateway.jobs import JOBS, Jobs
from services.gateway.progress import Progress
from services.gateway.results import RESULTS, Results
from services.gateway.sse import STREAMS, EventStream, event_stream_response
from services.gateway.wakeups import WAKEUPS

RECHECK_SECONDS = 5.0
"""How long a lost wake-up can go unnoticed."""
LOST_END_SECONDS = 10.0
"""A job that ended this long ago and shows no end event has lost its events to retention."""
PROGRESS_SECONDS = 1.0
"""Progress alone is told at most this often."""


async def get_events(request: web.Request) -> web.StreamResponse:
    """Replay the events after `Last-Event-ID` and go on live; 204 when nothing can follow."""
    identity = await caller(request)
    record = await request.app[JOBS].visible(identity.owner, request.match_info["id"])
    after = _after(request)
    progress = await request.app[RESULTS].progress(record)
    if progress.end_of(record.attempt) and after >= progress.sequence:
        record = await request.app[JOBS].newest(record) or record  # its gaps may be tried again by now
        if progress.end_of(record.attempt):
            return web.Response(status=204)
    response = event_stream_response()
    with request.app[WAKEUPS].on(record.id) as woken:
        async with request.app[STREAMS].open(request, response) as stream:
            reader = _Reader(request.app, stream, record, after)
            while may_listen(request.app, identity) and not await reader.advance(woken):
                await woken_within(woken, RECHECK_SECONDS)
    return response


class _Reader:
    """One client's place in one job's events."""

    def __init__(self, app: web.Application, stream: EventStream, record: JobRecord, after: int) -> None:
        self._jobs: Jobs = app[JOBS]
        self._results: Results = app[RESULTS]
        self._stream = stream
        self._record = record
        self._after = after
        self._told: Job | None = None
        self._told_at = 0.0
        self._final_since: float | None = None

    async def advance(self, woken: asyncio.Event) -> bool:
        """Send what is new; whether the job has ended or was deleted."""
        woken.clear()
        found = await self._jobs.get(self._record.owner, self._record.id)
        if found is None or found.deleted:
            return True
        self._record = found
        await self._tell_job(await self._results.progress(found))
        return await self._tell_events() or await self._tell_lost_end()

    async def _tell_events(self) -> bool:
        """Send what is stored; whether that was the end. The ends of earlier attempts are nobody's end."""
        async for sequence, event in self._results.events(self._record, self._after):
            over = isinstance(event, JobEnded) and await self._is_last(event)
            if over:
                await self._tell_job(await self._results.progress(self._record))
            if over or not isinstance(event, JobEnded):
                name, data = named(event)
                await self._stream.send(data, event=name, sequence=sequence)
            self._after = sequence
            if over:
                return True
        return False

    async def _is_last(self, end: JobEnded) -> bool:
        """Whether no attempt follows this end's, as far as anybody knows."""
        if end.attempt >= self._record.attempt:
            self._record = await self._jobs.newest(self._record) or self._record
        return end.attempt >= self._record.attempt

    async def _tell_job(self, progress: Progress) -> None:
        job, now = shown(self._record, progress), time.monotonic()
        if self._told is not None and _state(job) == _state(self._told):
            too_soon = now - self._told_at < PROGRESS_SECONDS
            if too_soon or _percent(job) == _percent(self._told):
                return
        await self._stream.send(job, event="job")
        self._told, self._told_at = job, now

    async def _tell_lost_end(self) -> bool:
        """The end of a job whose end event is gone, from its record."""
        if not self._record.state.final:
            self._final_since = None
            return False
        self._final_since = self._final_since or time.monotonic()
        if time.monotonic() - self._final_since < LOST_END_SECONDS:
            return False
        await self._stream.send(end_of_record(self._record), event="end")
        return True


def _state(job: Job) -> tuple[object, ...]:
    return job.status, job.upload.state, job.duration, job.attempt


def _percent(job: Job) -> int:
    return job.progress.percent if job.progress else 0


def _after(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID") or request.query.get("after") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > len(str(2**63)):
        raise InvalidRequest(f"{text[:40]!r} is no event id; send one that the stream gave", field="after")
    return int(text)
