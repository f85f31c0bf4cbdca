"""What the gateway answers when a request cannot be served: one class per code of the API.

* HttpError           a status, a code for programs, a message for people, and the field at fault
  + InvalidRequest, InvalidOption, BadHotwords, EmptyFile            400
  + Unauthorized                                                     401
  + WrongOrigin, Forbidden, InsufficientScope                        403
  + NotFound                                                         404
  + UploadTooSlow, UploadInterrupted                                 408
  + UploadInProgress, DifferentContent, JobRunning, JobOver, JobCancelled, NoGaps, AudioExpired   409
  + VersionConflict                                                  412
  + TooLarge                                                         413
  + UnsupportedMediaType                                             415
  + SlowDown, TooManyUploads, OverLimit, TooManyTokens               429
  + Unavailable                                                      503
"""

from services.common.errors import ServiceError


class HttpError(ServiceError):
    """A refusal with its HTTP status; `retry_after` in seconds where waiting helps."""

    status = 500
    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.field = field
        self.retry_after = retry_after


class InvalidRequest(HttpError):
    """The request has no meaning to us."""

    status = 400
    code = "invalid_request"


class InvalidOption(HttpError):
    """An option's value is not one we know."""

    status = 400
    code = "invalid_option"


class BadHotwords(HttpError):
    """The hotwords break a rule."""

    status = 400
    code = "invalid_hotwords"


class EmptyFile(HttpError):
    """The recording has no bytes."""

    status = 400
    code = "empty_file"


class Unauthorized(HttpError):
    """Nobody is logged in on this request."""

    status = 401
    code = "unauthorized"


class WrongOrigin(HttpError):
    """A write that another site's page caused."""

    status = 403
    code = "wrong_origin"


class Forbidden(HttpError):
    """We know who is asking, and it is not for them."""

    status = 403
    code = "forbidden"


class InsufficientScope(HttpError):
    """The personal access token was made for other things."""

    status = 403
    code = "insufficient_scope"


class NotFound(HttpError):
    """There is no such thing, or it belongs to somebody else."""

    status = 404
    code = "not_found"


class UploadTooSlow(HttpError):
    """Too few bytes came for too long."""

    status = 408
    code = "upload_too_slow"


class UploadInterrupted(HttpError):
    """The recording broke off before its end."""

    status = 408
    code = "upload_interrupted"


class UploadInProgress(HttpError):
    """The first upload under this key still runs."""

    status = 409
    code = "upload_in_progress"


class JobRunning(HttpError):
    """What was asked for needs a job that has ended."""

    status = 409
    code = "job_running"


class JobOver(HttpError):
    """What was asked for needs a job that runs or waits."""

    status = 409
    code = "job_ended"


class JobCancelled(HttpError):
    """What was asked for needs a job that was not cancelled."""

    status = 409
    code = "job_cancelled"


class NoGaps(HttpError):
    """Nothing of the job is missing."""

    status = 409
    code = "no_gaps"


class AudioExpired(HttpError):
    """The recording's retention has ended."""

    status = 409
    code = "audio_expired"


class DifferentContent(HttpError):
    """The key already stands for another recording."""

    status = 409
    code = "different_content"


class VersionConflict(HttpError):
    """Somebody else has changed the thing since."""

    status = 412
    code = "version_conflict"


class TooLarge(HttpError):
    """More bytes than allowed."""

    status = 413
    code = "too_large"


class UnsupportedMediaType(HttpError):
    """The body is of a type we do not take."""

    status = 415
    code = "unsupported_media_type"


class SlowDown(HttpError):
    """Too many wrong passwords."""

    status = 429
    code = "slow_down"


class TooManyUploads(HttpError):
    """This process takes no more uploads at the moment."""

    status = 429
    code = "too_many_uploads"


class OverLimit(HttpError):
    """The user has or sends as much as one user may."""

    status = 429
    code = "over_limit"


class TooManyTokens(HttpError):
    """The user has as many personal access tokens as one user may."""

    status = 429
    code = "too_many_tokens"


class Unavailable(HttpError):
    """Something we need is away for a moment."""

    status = 503
    code = "unavailable"
