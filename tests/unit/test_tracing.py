"""Spans where nobody collects them, and what an operator is told who wants them and cannot have them."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.common import tracing
from services.common.errors import Misconfigured
from services.contracts import traces


@pytest.fixture(autouse=True)
def off() -> Iterator[None]:
    yield
    tracing.close()


def test_without_a_collector_the_place_in_the_trace_stays() -> None:
    parent = traces.made()
    tracing.configure("test", "")
    with tracing.span("work", parent, chunk=1) as span:
        span.note(state="completed")
        assert span.traceparent == parent
    tracing.past("before", parent, 0.0)
    with pytest.raises(ValueError, match="not ours"), tracing.span("work", parent):
        raise ValueError("not ours")


def test_a_span_stands_below_its_parent_and_in_the_same_trace() -> None:
    parent = traces.made()
    tracing.configure("test", "http://127.0.0.1:9")
    with tracing.span("work", parent) as span:
        assert traces.known(span.traceparent) == span.traceparent != parent
        assert span.traceparent[:36] == parent[:36]
    unsampled = parent[:-2] + "00"
    with tracing.span("work", unsampled) as span:
        assert (span.traceparent[:36], span.traceparent[-2:]) == (parent[:36], "00")


@pytest.mark.parametrize("collector", ["collector:4318", "grpc://collector:4317", "yes"])
def test_a_collector_that_is_no_url_is_said_to_be_none(collector: str) -> None:
    with pytest.raises(
        Misconfigured, match=r"OTEL_EXPORTER_OTLP_ENDPOINT=.*is not usable.*http://collector:4318"
    ):
        tracing.configure("test", collector)


def test_opentelemetry_is_needed_and_imported_only_where_it_is_wanted() -> None:
    """A finder that knows none of its packages stands for a machine without them."""
    program = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
import services.gateway.__main__, services.chunker.__main__, services.transcriber.__main__
from services.common import tracing
tracing.configure("gateway", "")
tracing.configure("gateway", "http://127.0.0.1:9")
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert "packages that send traces are missing (opentelemetry): pip install '.[tracing]'" in ran.stderr
