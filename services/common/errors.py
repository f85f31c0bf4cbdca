"""Every failure we name, and what becomes of the work that met it.

* ServiceError
  + Permanent            the same input fails again: report it, never retry
  |   x Misconfigured    the process cannot run as it is set up
  + Transient            the world may recover: retry later
      + BrokerUnavailable  NATS did not answer in time
      + StorageFull        a stream's disk budget is used up

Anything else that escapes a handler is a bug: logged with its traceback and retried a few times.
"""


class ServiceError(Exception):
    """Base of every error raised on purpose. `code` is for programs, the message for people."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Permanent(ServiceError):
    """The same input would fail again however often it is retried."""

    code = "failed"


class Misconfigured(Permanent):
    """A setting is missing or wrong; the message names it and the remedy."""

    code = "misconfigured"


class Transient(ServiceError):
    """A retry may succeed; `retry_after` (seconds) and `max_attempts` bound it where the cause knows."""

    code = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        max_attempts: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.max_attempts = max_attempts
        self.since: float | None = None
        """Since when this trouble keeps the work waiting (`time.monotonic()`), where before this try."""


class BrokerUnavailable(Transient):
    """NATS did not answer within our patience."""

    code = "broker_unavailable"


class StorageFull(Transient):
    """A stream has no room left within its disk budget."""

    code = "storage_full"
