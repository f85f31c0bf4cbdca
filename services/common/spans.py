"""Spans sent to a collector by OpenTelemetry's SDK; the one module that imports it, where that is wanted."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from services.common.tracing import DROPPED, NOT_TAKEN, QUEUE_FULL, Active, Attribute

log = structlog.get_logger()

QUEUE_SPANS = 2048
"""Spans that wait for the collector, some 2 KB each; what comes beyond is dropped and counted."""
NANOSECONDS = 1e9


class CollectorSpans:
    """Begins spans here; a thread of the SDK's sends them, so nobody ever waits for the collector."""

    def __init__(self, service: str, collector: str) -> None:
        """The SDK's own variables tell the rest: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, ..."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a failure is counted and told once
        resource = {"service.name": f"whisper-{service}", "service.namespace": "whisper-webui"}
        self._provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        self._sending = _Sending(OTLPSpanExporter(endpoint=f"{collector.rstrip('/')}/v1/traces"))
        self._provider.add_span_processor(self._sending)
        self._tracer = self._provider.get_tracer("whisper-webui")

    def begin(
        self, name: str, parent: str | None, kind: str, start: float, attributes: dict[str, Attribute]
    ) -> Active:
        """A span below a `traceparent`, or the first of a trace; the sampler decides whether it is sent."""
        begun = self._tracer.start_span(
            name,
            context=_context(parent),
            kind=trace.SpanKind[kind],
            attributes=_named(attributes),
            start_time=int(start * NANOSECONDS),
        )
        return _Sent(begun)

    def close(self, seconds: float) -> int:
        """Send what is left; a collector that hangs is left behind with the thread that waits for it."""
        closing = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        closing.start()
        closing.join(seconds)
        return self._sending.waiting


class _Sent(Active):
    """A span of the SDK's."""

    def __init__(self, span: trace.Span) -> None:
        found = span.get_span_context()
        super().__init__(f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags & 1:02x}")
        self._span = span

    def note(self, **attributes: Attribute) -> None:
        self._span.set_attributes(_named(attributes))

    def failed(self, code: str) -> None:
        self._span.set_status(trace.StatusCode.ERROR, code)

    def end(self, at: float | None = None) -> None:
        self._span.end(None if at is None else int(at * NANOSECONDS))


class _Sending(SpanProcessor):
    """The SDK's batches behind a bound of our own, which counts what it turns away."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.waiting = 0
        """Spans that are neither sent nor given up."""
        self._lock = threading.Lock()
        self._batches = BatchSpanProcessor(_Telling(exporter, self._gone), max_queue_size=QUEUE_SPANS)

    def on_end(self, span: ReadableSpan) -> None:
        if not span.context.trace_flags.sampled:
            return
        with self._lock:
            full = self.waiting >= QUEUE_SPANS
            self.waiting += not full
        if full:
            DROPPED.labels(QUEUE_FULL).inc()
        else:
            self._batches.on_end(span)

    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # the SDK's only method without types

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def _gone(self, count: int) -> None:
        with self._lock:
            self.waiting -= count


class _Telling(SpanExporter):
    """Counts what a collector does not take, and says when that begins and when it is over."""

    def __init__(self, exporter: SpanExporter, gone: Callable[[int], None]) -> None:
        self._exporter = exporter
        self._gone = gone
        self._failing_since: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._gone(len(spans))
            self._tell(result is SpanExportResult.SUCCESS, len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def _tell(self, taken: bool, count: int) -> None:
        now = time.monotonic()
        if not taken:
            DROPPED.labels(NOT_TAKEN).inc(count)
            if self._failing_since is None:
                self._failing_since = now
                log.warning("collector_takes_no_spans")
        elif self._failing_since is not None:
            log.info("collector_takes_spans_again", seconds=round(now - self._failing_since, 1))
            self._failing_since = None


def _context(parent: str | None) -> Context:
    """OpenTelemetry's form of a valid `traceparent`."""
    if parent is None:
        return Context()
    _version, trace_id, span_id, flags = parent.split("-")
    remote = trace.SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(flags, 16)),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())


def _named(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    return {f"whisper.{name}": value for name, value in attributes.items()}
