"""`/v1/admin/jobs`: everybody's jobs as administrators see them, with nothing of what was said in them."""

import msgspec
from aiohttp import web

from services.contracts.messages import JobRecord, JobState, Lane, Problem
from services.gateway.all_jobs import ALL_JOBS, Place
from services.gateway.answers import Upload, json_response, shown
from services.gateway.cancellations import CANCELLATIONS, By
from services.gateway.cursor import decoded, encoded
from services.gateway.errors import InvalidRequest
from services.gateway.job_routes import page_limit
from services.gateway.subject import concerns


class AdminJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job without its name, its options and its hotwords: these tell what it is about."""

    id: str
    user: str
    status: JobState
    lane: Lane
    created_at: str
    started_at: str | None
    ended_at: str | None
    upload: Upload
    duration: float | None
    attempt: int
    error: Problem | None
    notice: Problem | None


class AdminJobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of all jobs, newest first; a page may be short, or empty, and still have a next one."""

    jobs: list[AdminJob]
    next: str | None


async def list_all_jobs(request: web.Request) -> web.Response:
    """`GET /v1/admin/jobs`: a page of everybody's jobs, or of those of one user or state."""
    after = request.query.get("after")
    records, more = await request.app[ALL_JOBS].page(
        page_limit(request),
        decoded(after, Place) if after else None,
        state=_state(request),
        user=request.query.get("user") or None,
    )
    jobs = [_shown(record) for record in records]
    return json_response(AdminJobPage(jobs=jobs, next=encoded(more) if more else None))


async def cancel_any_job(request: web.Request) -> web.Response:
    """`POST /v1/admin/jobs/{job}/cancel`: anybody's job ends, and they keep its text."""
    record = concerns(request, await request.app[ALL_JOBS].find(request.match_info["job"]))
    record = await request.app[CANCELLATIONS].cancel(record, By.ADMINISTRATOR)
    return json_response(_shown(record), status=202)


def _shown(record: JobRecord) -> AdminJob:
    job = shown(record)
    return AdminJob(
        id=job.id,
        user=record.user,
        status=job.status,
        lane=record.lane,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        upload=job.upload,
        duration=job.duration,
        attempt=job.attempt,
        error=job.error,
        notice=job.notice,
    )


def _state(request: web.Request) -> JobState | None:
    text = request.query.get("state", "")
    try:
        return JobState(text) if text else None
    except ValueError:
        raise InvalidRequest(
            f"unknown state {text[:40]!r}: use {', '.join(JobState)}", field="state"
        ) from None
