"""What can go wrong for the command.

* ClientError        the message is a sentence for the person at the keyboard
  + Refused          the server said no, and would say so again
  + Unavailable      no answer, or "later": worth another try after `retry_after` seconds
"""


class ClientError(Exception):
    """Base of every failure that is shown as one sentence, without a traceback."""


class Refused(ClientError):
    """The server understood the request and denied it."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unavailable(ClientError):
    """The server cannot be reached or asks for patience."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
