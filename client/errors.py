"""What can go wrong for a client.

* ClientError        the message is a sentence for the person at the keyboard
  + Refused          the server said no, and would say so again
  + Unavailable      no answer, or "later": worth another try after `retry_after` seconds
  + JobEnded         the job ended without being completed
"""


class ClientError(Exception):
    """Base of every failure that is shown as one sentence, without a traceback."""


class Refused(ClientError):
    """The server understood the request and denied it; `field` names the option at fault."""

    def __init__(self, message: str, *, status: int, code: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field


class Unavailable(ClientError):
    """The server cannot be reached or asks for patience."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class JobEnded(ClientError):
    """The job is over and not completed: it failed, was interrupted, or cancelled."""

    def __init__(self, message: str, *, job: str, status: str) -> None:
        super().__init__(message)
        self.job = job
        self.status = status
