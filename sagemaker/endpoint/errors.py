"""Every way a request can fail: its HTTP status, a code for programs and a sentence for people.

* Refused
  + BadInput        400  the request is at fault; `field` names where
  + UnknownType     415  neither multipart/form-data nor audio/*
  + TooLarge        413
  + Busy            429  the queue is full
  + Loading         503  the model is not loaded yet
  + TooSlow         503  the deadline passed
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
    """The content type is none we read."""

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


class RequestAbandoned(Exception):
    """Nobody waits for this inference any more; raised inside the inference thread only."""
