"""Spans of the work on a job, in the trace that its messages carry; without a collector they cost nothing."""

import contextlib
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

import structlog
from prometheus_client import Counter

from services.common.errors import Misconfigured, ServiceError

log = structlog.get_logger()

FLUSH_SECONDS = 2.0
"""A stopping process waits this long, once all work is done, for its last spans to be taken."""

Attribute = str | int | float

DROPPED = Counter("whisper_trace_spans_dropped_total", "Spans that the collector did not get", ["reason"])
QUEUE_FULL, NOT_TAKEN = "queue_full", "not_taken"
for reason in (QUEUE_FULL, NOT_TAKEN):
    DROPPED.labels(reason)


class Kind(StrEnum):
    """Where a span stands in the way of a request, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    CONSUMER = "CONSUMER"


class Active:
    """What is going on; without a collector only the place in its trace."""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        """What goes on below it carries this; empty where it has no parent and no span is sent."""

    def note(self, **attributes: Attribute) -> None:
        """Say more of it than was known when it began."""

    def failed(self, code: str) -> None:
        """It ended with this error."""

    def end(self, at: float | None = None) -> None:
        """It is over, since this Unix time or since now."""


class Spans(Protocol):
    """What sends spans (`services.common.spans`)."""

    def begin(
        self, name: str, parent: str | None, kind: str, start: float, attributes: dict[str, Attribute]
    ) -> Active:
        """A span that is going on."""

    def close(self, seconds: float) -> int:
        """Send what is left, for this long at most; how many spans could not be sent."""


_spans: Spans | None = None


def configure(service: str, collector: str) -> None:
    """Send this process's spans to a collector, an http or https URL; an empty one switches them off.

    Raises `Misconfigured`.
    """
    global _spans  # like logging, it is one for the whole process
    if not collector:
        _spans = None
        return
    if not collector.startswith(("http://", "https://")):
        raise Misconfigured(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={collector!r} is not usable: give the URL of a collector that "
            "takes OTLP over HTTP, such as http://collector:4318"
        )
    try:
        from services.common.spans import CollectorSpans  # takes 0.3 s and 20 MB where it is not wanted
    except ImportError as error:
        raise Misconfigured(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages that send traces are missing "
            f"({error.name}): pip install '.[tracing]', or unset it"
        ) from error
    _spans = CollectorSpans(service, collector)
    log.info("spans_sent_to_collector")


def close() -> None:
    """The process ends: send what is left, within `FLUSH_SECONDS`."""
    global _spans
    spans, _spans = _spans, None
    if spans is not None and (lost := spans.close(FLUSH_SECONDS)):
        log.warning("spans_lost", count=lost)


@contextlib.contextmanager
def span(
    name: str, parent: str | None, kind: Kind = Kind.INTERNAL, **attributes: Attribute
) -> Iterator[Active]:
    """What the body does, as a span below the `traceparent` given, or as the first of a new trace."""
    if _spans is None:
        yield Active(parent or "")
        return
    active = _spans.begin(name, parent, kind, time.time(), attributes)
    try:
        yield active
    except Exception as error:  # to be cancelled is no failure
        active.failed(error.code if isinstance(error, ServiceError) else type(error).__name__)
        raise
    finally:
        active.end()


def past(name: str, parent: str, start: float, end: float | None = None, **attributes: Attribute) -> None:
    """A span of something that is over, from one Unix time to another or to now."""
    if _spans is not None:
        _spans.begin(name, parent, Kind.INTERNAL, start, attributes).end(end)
