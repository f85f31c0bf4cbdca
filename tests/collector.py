"""A collector of traces on loopback: it reads OTLP as its own definition says, and may hang or refuse."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from services.common.service import site
from services.dev.processes import free_port


class Span(msgspec.Struct, frozen=True):
    """One span as it came."""

    service: str
    name: str
    trace_id: str
    id: str
    parent: str
    """Empty for the first of a trace."""
    kind: str
    start: float
    end: float
    attributes: dict[str, object]
    failed: bool


class Collector:
    """Keeps what comes; `refusing` and `hanging` are switched by the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Span] = []
        self.refusing = False
        self.hanging = False
        self.asked = 0

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        body = await request.read()
        if self.hanging:
            await asyncio.Event().wait()
        if self.refusing:
            return web.Response(status=500)
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_read(names["service.name"], span) for span in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    def of(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]


def _read(service: str, span: SentSpan) -> Span:
    values = {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}
    return Span(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=SentSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start=span.start_time_unix_nano / 1e9,
        end=span.end_time_unix_nano / 1e9,
        attributes=values,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
    )


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector at a port of its own."""
    port = free_port()
    collector = Collector(f"http://127.0.0.1:{port}")
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes([web.post("/v1/traces", collector.take)])
    async with site(app, "127.0.0.1", port, shutdown_seconds=0.1):
        yield collector
