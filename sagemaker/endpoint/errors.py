"""Every way a request can fail: its HTTP status, a code for programs and a sentence for people.

* Refused
  + BadInput        400  the request is at fault; `field` names where
  + UnknownType     415  a content type, or an encoding of the body, that is not read here
  + TooLarge        413
  + Busy            429  the queue is full
  + Loading         503  the model is not loaded yet
  + Stopping        503  the container takes no more requests
  + TooSlow         503  the deadline passed
  + OutOfMemory     507  the request does not fit into memory, even alone
  + ModelFailed     500  a fault of ours, with this request or with its whole batch
"""


class Refused(Exception):
    """Base of every answer that is no transcript."""

    status = 400
    code = "refused"
    retry_after: int | None = None
    """Seconds after which the same request may succeed."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BadInput(Refused):
    """The same request would fail again."""

    code = "bad_input"


class UnknownType(Refused):
    """The content type or encoding is none we read."""

    status = 415
    code = "unknown_content_type"


class TooLarge(Refused):
    """The body is over SageMaker's own limit."""

    status = 413
    code = "too_large"


class Busy(Refused):
    """As many requests wait as may."""

    status = 429
    code = "busy"
    retry_after = 1


class Loading(Refused):
    """The model is still being loaded."""

    status = 503
    code = "loading"
    retry_after = 2


class TooSlow(Refused):
    """The answer was not there within the deadline."""

    status = 503
    code = "deadline_exceeded"
    retry_after = 1


class Stopping(Refused):
    """The process ends; SageMaker or the supervisor has another one, or starts it."""

    status = 503
    code = "stopping"
    retry_after = 1


class OutOfMemory(Refused):
    """The model cannot take this request, even with nothing else in its batch."""

    status = 507
    code = "out_of_memory"


class ModelFailed(Refused):
    """A fault of ours."""

    status = 500
    code = "model_error"
