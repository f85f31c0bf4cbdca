"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a recording in, its text in the answer."""

import contextlib
import time

import structlog
from aiohttp import web

from services.common.errors import ServiceError
from services.contracts.inference import Task
from services.contracts.messages import JobRecord
from services.gateway.caller import caller
from services.gateway.errors import HttpError, InvalidRequest, Unavailable
from services.gateway.identity import Identity
from services.gateway.intake import INTAKE
from services.gateway.openai import errors
from services.gateway.openai.delivery import Delivery, delivery
from services.gateway.openai.fields import OpenAIFields
from services.gateway.openai.repeats import REPEATS
from services.gateway.openai.waiting import transcripts
from services.gateway.outcomes import problem_of
from services.gateway.sse import STREAMS, EventStream
from services.gateway.subject import concerns
from services.gateway.transcript import Transcript

log = structlog.get_logger()

FORM = "multipart/form-data"
GAPS, JOB = "X-Whisper-Gaps", "X-Whisper-Job"


async def post_transcription(request: web.Request) -> web.StreamResponse:
    """Text in the language spoken."""
    return await _answer(request, Task.TRANSCRIBE)


async def post_translation(request: web.Request) -> web.StreamResponse:
    """Text in English."""
    return await _answer(request, Task.TRANSLATE)


async def _answer(request: web.Request, task: Task) -> web.StreamResponse:
    identity = caller(request)
    if request.content_type != FORM:
        raise InvalidRequest(f"send {FORM} with a `file` and a `model`", field="file")
    fields, response = OpenAIFields(task), web.StreamResponse()
    streams = request.app[STREAMS]
    with streams.attended(request, response) as stream:
        record = await _job(request, identity, fields)
        told = delivery(record, fields.wanted())
        response.headers.update({**told.headers, JOB: record.id})
        answer = _Answer(request, identity, record, told, patience=streams.heartbeat_seconds)
        return await answer.given(stream, response)


async def _job(request: web.Request, identity: Identity, fields: OpenAIFields) -> JobRecord:
    """The job of this recording: a new one, unless the same was sent just before."""
    record, new = await request.app[INTAKE].take(request, identity, fields, whole=True)
    named = "Idempotency-Key" in request.headers
    return record if named or not new else concerns(request, await request.app[REPEATS].first(record))


class _Answer:
    """One client's answer, from the recording's last byte on."""

    def __init__(
        self,
        request: web.Request,
        identity: Identity,
        record: JobRecord,
        told: Delivery,
        *,
        patience: float,
    ) -> None:
        """It begins after `patience` seconds at the latest, where it may begin before the end at all."""
        self._request = request
        self._identity = identity
        self._record = record
        self._told = told
        self._patience = patience
        self._begin_at = time.monotonic() + patience

    async def given(self, stream: EventStream, response: web.StreamResponse) -> web.StreamResponse:
        """Write the answer, beginning late enough for a true status and early enough for proxies."""
        try:
            transcript = await self._heard(stream)
            rest = self._told.end(transcript)
        except ServiceError as error:
            if not stream.begun:
                raise
            with contextlib.suppress(ConnectionResetError):  # nobody is there to hear of it
                await self._fail(stream, error)
            return response
        except ConnectionResetError:
            log.debug("client_left")
            return response
        if not stream.begun:
            headers = response.headers.copy()
            headers[GAPS] = str(len(transcript.gaps))
            return web.Response(body=rest, headers=headers)
        await stream.write(rest)
        await stream.end()
        return response

    async def _heard(self, stream: EventStream) -> Transcript:
        """The whole transcript; what can be told before is. Raises the refusal of a job without text."""
        heard = Transcript()
        app, pause = self._request.app, self._patience / 2
        async for heard in transcripts(app, self._identity, self._record, stream, pause):
            pieces = self._told.pieces(heard)
            if self._told.beat and not stream.begun and (pieces or time.monotonic() >= self._begin_at):
                await stream.begin(self._told.beat)
            for piece in pieces:
                await stream.write(piece)
        problem = problem_of(heard)
        if problem is not None:
            raise errors.of_problem(problem)
        return heard

    async def _fail(self, stream: EventStream, error: ServiceError) -> None:
        log.info("answer_failed", code=error.code, error=str(error))
        status = error.status if isinstance(error, HttpError) else Unavailable.status
        failure = self._told.failure(status, error)
        if failure is None:
            stream.break_off()
        else:
            await stream.write(failure)
            await stream.end()
