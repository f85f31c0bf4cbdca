"""Logging, configured once: JSON lines, or colours where stderr is a terminal."""

import json
import logging
import sys

import structlog
from aiohttp.http_exceptions import HttpProcessingError


def configure(service: str, level: str) -> None:
    """Send every log line of this process to stderr with its service's name on it."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(serializer=_line)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write a line: processes may share it
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, handlers=[_Forwarded()], force=True)
    logging.getLogger("nats").setLevel(logging.ERROR)  # its reconnect attempts are logged by our bus


_encode = json.JSONEncoder(default=repr).encode
"""Made once: `json.dumps` makes it anew each time. ASCII only: text from outside cannot turn a terminal."""


def _line(facts: structlog.typing.EventDict, **_options: object) -> str:
    return _encode(facts)


class _Forwarded(logging.Handler):
    """What libraries say becomes one line in our form, so that no text from outside can forge another.

    A request that is no HTTP is told without its bytes, which may hold a token.
    """

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            log.info("request_malformed", kind=type(error).__name__)
        else:
            log.log(
                record.levelno,
                "library_said",
                library=record.name,
                message=record.getMessage(),
                exc_info=record.exc_info,
            )
