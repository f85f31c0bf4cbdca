"""JSON answers, and the shape of a job in them."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from services.contracts.hotwords import ListUsed
from services.contracts.inference import SAMPLE_RATE, Word
from services.contracts.messages import JobOptions, JobRecord, JobState, Problem, UploadState
from services.gateway.forecast import Outlook
from services.gateway.hotword_sum import HotwordsSum
from services.gateway.progress import Progress, View
from services.gateway.transcript import Gap, Line, Stretch

JSON_TYPE = "application/json; charset=utf-8"
JSON_HEADERS = {"Content-Type": JSON_TYPE}


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """How far the bytes of a recording have come."""

    state: UploadState
    bytes: int
    total_bytes: int | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the API shows it."""

    id: str
    name: str
    status: JobState
    created_at: str
    started_at: str | None
    ended_at: str | None
    upload: Upload
    duration: float | None
    attempt: int
    """How often its gaps were tried again."""
    options: JobOptions
    hotword_list: ListUsed | None
    """The stored list that the hotwords are from."""
    hotwords_revision: int
    """How often the hotwords were changed since the upload."""
    error: Problem | None
    notice: Problem | None
    links: Mapping[str, str]
    position: int | msgspec.UnsetType | None = msgspec.UNSET
    seconds_left: float | msgspec.UnsetType | None = msgspec.UNSET
    progress: View | msgspec.UnsetType = msgspec.UNSET


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a user's jobs, newest first."""

    jobs: list[Job]
    next: str | None
    """Where the next page begins, for `after`."""


class WholeTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job's words so far; times are seconds from the start of the recording."""

    id: str
    name: str
    status: JobState
    language: str | None
    duration: float | None
    text: str
    segments: list[Line]
    words: list[Word] | None
    gaps: list[Gap]
    skipped: list[Stretch]
    hotwords: HotwordsSum | None
    notices: list[str]


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`value` as JSON."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, headers={**JSON_HEADERS, **(headers or {})}
    )


def shown(record: JobRecord, progress: Progress | None = None, outlook: Outlook | None = None) -> Job:
    """The job of a record; the end that stands in its events counts before the record learns of it."""
    ended = progress.end_of(record.attempt) if progress else None
    status = ended.state if ended else record.state
    problem = ended.problem if ended else record.problem
    duration = ended.duration if ended else record.duration
    failed = status in (JobState.FAILED, JobState.INTERRUPTED, JobState.CANCELLED)
    return Job(
        id=record.id,
        name=record.name,
        status=status,
        created_at=date(record.created_at),
        started_at=None if record.started_at is None else date(record.started_at),
        ended_at=None if record.ended_at is None else date(record.ended_at),
        upload=_upload(record, progress),
        duration=round(duration / SAMPLE_RATE, 2) if duration else None,  # nothing was decoded
        attempt=record.attempt,
        options=record.options,
        hotword_list=record.hotword_list,
        hotwords_revision=record.hotwords_revision,
        error=problem if failed else None,
        notice=None if failed else problem,
        links={
            "self": location(record),
            "events": f"{location(record)}/events",
            "transcript": f"{location(record)}/transcript",
        },
        position=msgspec.UNSET if outlook is None else outlook.position,
        seconds_left=msgspec.UNSET if outlook is None else outlook.seconds_left,
        progress=msgspec.UNSET if progress is None else viewed(record, progress),
    )


def viewed(record: JobRecord, progress: Progress) -> View:
    """The progress of a record's current attempt."""
    stored = record.upload is not UploadState.RECEIVING
    source_bytes = record.upload_bytes if stored else record.announced_bytes
    return progress.view(source_bytes, record.duration, record.attempt)


def location(record: JobRecord) -> str:
    """The job's own address."""
    return f"/v1/jobs/{record.id}"


def _upload(record: JobRecord, progress: Progress | None) -> Upload:
    seen = progress.source_bytes if progress else 0
    receiving = record.upload is UploadState.RECEIVING
    return Upload(
        state=record.upload,
        bytes=max(record.upload_bytes, seen) if receiving else record.upload_bytes,
        total_bytes=record.announced_bytes if receiving else record.upload_bytes,
    )


def date(time: float) -> str:
    """A Unix time as the API shows it."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
