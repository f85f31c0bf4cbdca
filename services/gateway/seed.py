"""The routes of the replaced application, byte for byte where its clients look."""

import asyncio

import msgspec
from aiohttp import web

from services.common.bus import woken_within
from services.contracts.hotwords import Hotwords
from services.contracts.inference import MAX_AUDIO_SECONDS
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobRecord,
)
from services.gateway.answers import json_response, shown
from services.gateway.caller import caller, may_listen
from services.gateway.errors import HttpError, Unavailable
from services.gateway.feeds import RECHECK_SECONDS
from services.gateway.fields import OwnFields
from services.gateway.intake import INTAKE
from services.gateway.jobs import JOBS
from services.gateway.outcomes import RECORDINGS_FAULT, problem_of
from services.gateway.pages import PAGES
from services.gateway.results import RESULTS
from services.gateway.sse import STREAMS, EventStream, event_stream_response
from services.gateway.subject import concerns
from services.gateway.transcript import Transcript
from services.gateway.wakeups import WAKEUPS

FIELDS = ("hotwords", "hotword_method")
"""What the old form knows; its other fields were ignored, and still are."""
NOTHING_YET = "nothing was uploaded in this session yet; send a recording first"
GONE = "the recording was deleted"


class Init(msgspec.Struct, frozen=True, kw_only=True, tag="init"):
    """The first event."""

    total_segments: int
    hotwords_config: Hotwords


class Advanced(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """One more chunk, with the whole text so far."""

    progress: int
    current_segment: int
    transcript: str


class Complete(msgspec.Struct, frozen=True, kw_only=True, tag="complete"):
    """The last event of a job that ended well."""

    transcript: str


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """The last event of a job that did not."""

    message: str


async def post_transcribe(request: web.Request) -> web.Response:
    """Take a recording in; browsers that sent the form get the page."""
    identity = caller(request)
    record, _new = await request.app[INTAKE].take(request, identity, OwnFields(FIELDS))
    if "text/html" in request.headers.get("Accept", ""):
        return request.app[PAGES].answer(request, "index.html")
    return json_response({"success": True, "job_id": record.id})


async def post_transcribe_and_wait(request: web.Request) -> web.Response:
    """Take a recording in and answer when its text is there; the job goes on if the client does not wait."""
    identity = caller(request)
    try:
        record, _new = await request.app[INTAKE].take(request, identity, OwnFields(FIELDS))
        transcript = await _ended(request, record)
    except HttpError as error:
        if error.status >= 500 or error.retry_after is not None:
            raise
        return json_response({"error": str(error)}, status=400)
    problem = problem_of(transcript)
    if problem is None:
        return json_response({"success": True, "transcript": transcript.text})
    return json_response({"error": problem.message}, status=400 if problem.code in RECORDINGS_FAULT else 500)


async def get_stream(request: web.Request) -> web.StreamResponse:
    """The session's latest upload, from its first event."""
    identity = caller(request)
    record = await request.app[JOBS].latest_of_session(identity.owner, identity.session)
    if record is not None:
        concerns(request, record)
    response = event_stream_response()
    async with request.app[STREAMS].open(request, response) as stream:
        await stream.comment()
        if record is None:
            await stream.send(Failed(message=NOTHING_YET))
        else:
            with request.app[WAKEUPS].on(record.id) as woken:
                replay = _Replay(request.app, stream, record)
                while await may_listen(request.app, identity) and not (
                    stream.gone or await replay.advance(woken)
                ):
                    await woken_within(woken, RECHECK_SECONDS)
    return response


class _Replay:
    """One connection's way through the events of a job."""

    def __init__(self, app: web.Application, stream: EventStream, record: JobRecord) -> None:
        self._app = app
        self._stream = stream
        self._record = record
        self._transcript = Transcript()
        self._after = 0
        self._begun = False
        self._percent = 0
        self._settled: set[int] = set()

    async def advance(self, woken: asyncio.Event) -> bool:
        """Send what is new; whether the job has ended or was deleted."""
        woken.clear()
        found = await self._app[JOBS].get(self._record.owner, self._record.id)
        if found is None or found.deleted:
            await self._stream.send(Failed(message=GONE))
            return True
        self._record = found
        return await self._tell_stored()

    async def _tell_stored(self) -> bool:
        """Send what is stored; whether the job ended."""
        async for found in self._app[RESULTS].events(self._record, self._after):
            event, self._after = found.event, found.sequence
            self._transcript.add(event)
            if not isinstance(event, ChunkCut):
                await self._begin()
            if isinstance(event, ChunkTranscribed | ChunkFailed):
                self._settled.add(event.chunk)
                await self._advance()
            if isinstance(event, JobEnded) and event.attempt >= self._record.attempt:
                await self._finish()
                return True
        return False

    async def _begin(self) -> None:
        """The first event, with the first text: by then several cuts tell how long the recording may be."""
        if self._begun:
            return
        self._begun = True
        view = (await self._app[RESULTS].progress(self._record)).view(self._source_bytes())
        estimate = round((view.total_seconds or 0) / MAX_AUDIO_SECONDS + 0.5)
        config = self._record.options.hotwords or Hotwords()
        await self._stream.send(Init(total_segments=max(view.chunks_known, estimate), hotwords_config=config))

    async def _advance(self) -> None:
        job = shown(self._record, await self._app[RESULTS].progress(self._record))
        percent = job.progress.percent if job.progress else 0
        self._percent = max(self._percent, percent)
        current, text = len(self._settled), self._transcript.text
        await self._stream.send(Advanced(progress=self._percent, current_segment=current, transcript=text))

    async def _finish(self) -> None:
        problem = problem_of(self._transcript)
        if problem is None:
            await self._stream.send(Complete(transcript=self._transcript.text))
        else:
            await self._stream.send(Failed(message=problem.message))

    def _source_bytes(self) -> int | None:
        return self._record.upload_bytes or self._record.announced_bytes


async def _ended(request: web.Request, record: JobRecord) -> Transcript:
    """The transcript of a job once it has ended; the wait is the client's own."""
    app = request.app
    with app[WAKEUPS].on(record.id) as woken:
        while not app[WAKEUPS].closing and request.transport is not None:
            woken.clear()
            found = await app[JOBS].visible(record.owner, record.id)
            if (await app[RESULTS].progress(found)).end_of(found.attempt):
                return await app[RESULTS].transcript(found)
            try:
                async with asyncio.timeout(RECHECK_SECONDS):
                    await woken.wait()
            except TimeoutError:
                continue
    raise Unavailable("the server is restarting; the recording is stored and goes on", retry_after=5)
