"""`/v1/jobs`: upload, list, look at, read, retry, cancel and delete jobs."""

from urllib.parse import quote

import msgspec
from aiohttp import web

from services.common import subtitles
from services.contracts.identifiers import job_id
from services.contracts.messages import JobRecord
from services.gateway.answers import (
    JSON_HEADERS,
    Job,
    JobPage,
    WholeTranscript,
    json_response,
    location,
    shown,
    viewed,
)
from services.gateway.caller import caller
from services.gateway.cancellations import CANCELLATIONS, By
from services.gateway.errors import InvalidRequest
from services.gateway.identity import Identity
from services.gateway.intake import INTAKE, checked_key
from services.gateway.jobs import JOBS
from services.gateway.results import RESULTS
from services.gateway.retries import RETRIES
from services.gateway.rewording import reword
from services.gateway.standings import STANDINGS
from services.gateway.subject import concerns, concerns_job
from services.gateway.transcript import Format, Transcript

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

TEXT_TYPES = {Format.TEXT: "text/plain", Format.SRT: "application/x-subrip", Format.VTT: "text/vtt"}
EXTENSIONS = {Format.JSON: "json", Format.TEXT: "txt", Format.SRT: "srt", Format.VTT: "vtt"}


async def post_job(request: web.Request) -> web.Response:
    """Take a recording in."""
    identity = caller(request)
    record, new = await request.app[INTAKE].take(request, identity)
    return json_response(
        await _whole_job(request, record),
        status=201 if new else 200,
        headers={"Location": location(record)},
    )


async def list_jobs(request: web.Request) -> web.Response:
    """A page of the user's jobs, or the one under an idempotency key."""
    identity = caller(request)
    if key := request.query.get("idempotency_key"):
        record = await request.app[JOBS].get(identity.owner, job_id(identity.user, checked_key(key)))
        found = [shown(record)] if record and not record.deleted else []
        return json_response(JobPage(jobs=found, next=None))
    records, more = await request.app[JOBS].page(
        identity.owner, page_limit(request), request.query.get("after")
    )
    return json_response(JobPage(jobs=[shown(record) for record in records], next=more))


async def get_job(request: web.Request) -> web.Response:
    """One job with its progress."""
    identity, standings, job = caller(request), request.app[STANDINGS], request.match_info["id"]

    async def read() -> tuple[bytes, bool, str]:
        record = await _record(request, identity)
        return msgspec.json.encode(await _whole_job(request, record)), record.state.final, record.trace

    standing = standings.kept(identity.owner, job) or await standings.anew(identity.owner, job, read)
    concerns_job(request, job, standing.trace)
    return web.Response(body=standing.body, headers=JSON_HEADERS)


async def delete_job(request: web.Request) -> web.Response:
    """Cancel a job and erase everything about it."""
    record = await _record(request, caller(request))
    await request.app[JOBS].delete(record)
    return web.Response(status=204)


async def retry_job(request: web.Request) -> web.Response:
    """Try the gaps of a job again; a repeat while they are being tried changes nothing."""
    record = await request.app[RETRIES].begin(await _record(request, caller(request)))
    return json_response(await _whole_job(request, record), status=202)


async def cancel_job(request: web.Request) -> web.Response:
    """End a job where it stands; what was transcribed stays."""
    record = await _record(request, caller(request))
    record = await request.app[CANCELLATIONS].cancel(record, By.OWNER)
    return json_response(await _whole_job(request, record), status=202)


async def put_hotwords(request: web.Request) -> web.Response:
    """Transcribe the chunks still to come with other hotwords."""
    record = await reword(request, await _record(request, caller(request)))
    return json_response(await _whole_job(request, record), status=202)


async def get_transcript(request: web.Request) -> web.Response:
    """The words so far, in the format asked for."""
    record = await _record(request, caller(request))
    wanted = _format(request)
    found = await request.app[RESULTS].transcript(record)
    headers = {}
    if request.query.get("download"):
        headers["Content-Disposition"] = _attachment(record, wanted)
    if wanted is Format.JSON:
        return json_response(await _whole(request, record, found), headers=headers)
    text = {Format.SRT: subtitles.srt, Format.VTT: subtitles.vtt}.get(wanted)
    return web.Response(
        text=text(found.cues) if text else found.text + "\n",
        content_type=TEXT_TYPES[wanted],
        charset="utf-8",
        headers=headers,
    )


async def _whole_job(request: web.Request, record: JobRecord) -> Job:
    """The job with its progress and its outlook."""
    progress = await request.app[RESULTS].progress(record)
    view = viewed(record, progress)
    return shown(record, progress, await request.app[JOBS].outlook(record, view, progress.tempo))


async def _whole(request: web.Request, record: JobRecord, found: Transcript) -> WholeTranscript:
    job = shown(record, await request.app[RESULTS].progress(record))
    return WholeTranscript(
        id=job.id,
        name=job.name,
        status=job.status,
        language=found.language,
        duration=job.duration,
        text=found.text,
        segments=found.lines,
        words=found.words,
        gaps=found.gaps,
        skipped=found.skipped,
        hotwords=found.hotwords(record),
        notices=found.notices,
    )


async def _record(request: web.Request, identity: Identity) -> JobRecord:
    return concerns(request, await request.app[JOBS].visible(identity.owner, request.match_info["id"]))


def page_limit(request: web.Request) -> int:
    """How many entries of a list are asked for; raises `InvalidRequest`."""
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    try:
        limit = msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        limit = 0
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit is {text[:40]!r}: use a number from 1 to {MAX_LIMIT}", field="limit")
    return limit


def _format(request: web.Request) -> Format:
    text = request.query.get("format", Format.JSON)
    try:
        return Format(text)
    except ValueError:
        raise InvalidRequest(
            f"unknown format {text[:40]!r}: use {', '.join(Format)}", field="format"
        ) from None


def _attachment(record: JobRecord, wanted: Format) -> str:
    """RFC 6266, with the name in UTF-8 (RFC 8187)."""
    name = f"{record.name.rpartition('.')[0] or record.name}.{EXTENSIONS[wanted]}"
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
