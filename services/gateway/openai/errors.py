"""Refusals as OpenAI's clients expect them: their exceptions go by status, type, param and code."""

import msgspec

from services.common.errors import ServiceError
from services.contracts.messages import Problem
from services.gateway.errors import HttpError, JobCancelled
from services.gateway.outcomes import RECORDINGS_FAULT

PATHS = ("/v1/audio/", "/v1/models")
LONGEST_RETRY_SECONDS = 60.0
"""Their clients honour no longer `Retry-After`, but try again at once: better told not to."""
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CANCELLED = "cancelled"
CANNOT = "cannot_translate"
"""What the endpoint says of a task that it has no means for."""


class OpenAIError(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong: a sentence, and the field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a refusal."""

    error: OpenAIError


class NotTranscribed(HttpError):
    """The recording was taken in, and no text came of it."""

    status = 500
    code = "failed"


class ClientLeft(HttpError):
    """Nobody waits for the answer any more; nginx's number for it."""

    status = 499
    code = "client_left"


class BadRecording(HttpError):
    """The same where another recording or request would have had a text."""

    status = 400
    code = "failed"


def body(status: int, error: ServiceError) -> OpenAIErrorBody:
    """What a refusal with this status says."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    field = error.field if isinstance(error, HttpError) else None
    return OpenAIErrorBody(error=OpenAIError(message=str(error), type=kind, param=field, code=error.code))


def headers(error: ServiceError) -> dict[str, str]:
    """What else its answer carries."""
    retry_after: float | None = getattr(error, "retry_after", None)
    futile = isinstance(error, JobCancelled) or (retry_after or 0.0) > LONGEST_RETRY_SECONDS
    return {"X-Should-Retry": "false"} if futile else {}


def of_problem(problem: Problem) -> HttpError:
    """The refusal for a job that ended with this problem."""
    if problem.code in RECORDINGS_FAULT:
        return BadRecording(problem.message, code=problem.code, field="file")
    if problem.code == CANCELLED:
        return JobCancelled(problem.message)
    if problem.code == CANNOT:
        return BadRecording(problem.message, code=problem.code)
    return NotTranscribed(problem.message, code=problem.code)
