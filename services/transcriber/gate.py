"""The way to the endpoint: open, or, while the endpoint refuses everybody, for one chunk at a time."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.common.bus import woken_within
from services.common.errors import Transient
from services.transcriber.errors import EndpointAway, EndpointBusy, EndpointCold, EndpointMisconfigured

log = structlog.get_logger()

CLOSES = (EndpointCold, EndpointBusy)
"""What the endpoint would say to any other chunk, too."""
KEEPS_CLOSED = (*CLOSES, EndpointAway, EndpointMisconfigured)
AGAIN_SECONDS = 1.0
"""Until the next probe, where the refusal does not say: a cold endpoint's does."""
PROBE_SECONDS = 20.0
"""A refusal comes at once. A call that goes on for so long is at work, or hangs: another chunk may ask."""

CLOSED = Gauge("whisper_endpoint_closed", "1 while one chunk at a time asks an endpoint that refused")
HELD = Gauge("whisper_endpoint_held_chunks", "Chunks in hand that wait for such an endpoint")
COLD_SECONDS = Histogram(
    "whisper_endpoint_cold_seconds",
    "Time from the first refusal of a cold endpoint to its next answer, as this process met it",
    buckets=(5, 15, 30, 60, 120, 180, 300, 450, 600, 900, 1800, 3600),
)
PROBES = Counter("whisper_endpoint_probes_total", "Chunks that asked whether such an endpoint is up")


class Gate:
    """All chunks of this process pass here, each before its call.

    Nobody holds the gate: it knows only from when on the next chunk may ask, so whatever becomes of the one
    that asks, another one follows.
    """

    def __init__(self, patience_seconds: float, *, probe_seconds: float = PROBE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._probe_seconds = probe_seconds
        self._refusal: Transient | None = None
        """The last one, while the gate is closed."""
        self._closed_at = 0.0
        self._cold_since: float | None = None
        self._refused_at = 0.0
        self._next_at = 0.0
        self._ended = False
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def passage(self, age: Callable[[], Awaitable[float]]) -> AsyncIterator[None]:
        """Wait until a call may be made, and make it in this context; say `open` once it was answered.

        `age` tells for how many seconds the chunk exists. All of them since the gate was closed count as
        failing, also those in the queue: raises the last refusal when it came after the chunk's patience, and
        when the process stops.
        """
        since, probes = time.monotonic(), False
        if self._refusal is not None:
            since -= await age()
            with HELD.track_inprogress():
                probes = await self._turn(since)
        try:
            yield
        except KEEPS_CLOSED as error:
            if self._refusal is not None or isinstance(error, CLOSES):
                self._close(error)
                error.since = max(since, self._closed_at)
                probes = False
            raise
        finally:
            if probes and self._refusal is not None:  # it told nothing of the endpoint
                self._next_at = 0.0
                self._wake()

    def open(self) -> None:
        """The endpoint has answered."""
        if self._refusal is not None:
            log.info("endpoint_answers_again", seconds=round(time.monotonic() - self._closed_at, 1))
            self._refusal = None
            CLOSED.set(0)
            self._note_warmth()
            self._wake()

    def end(self) -> None:
        """The process stops: whoever waits leaves."""
        self._ended = True
        self._wake()

    async def _turn(self, since: float) -> bool:
        """Wait; whether the gate is still closed, so that this call is the one that asks."""
        while (refusal := self._refusal) is not None:
            now, since = time.monotonic(), max(since, self._closed_at)
            if self._ended:
                raise _again(refusal, since, retry_after=0.0)
            if now >= self._next_at:
                self._next_at = now + self._probe_seconds
                PROBES.inc()
                return True
            if self._refused_at - since > self._patience_seconds:
                raise _again(refusal, since, retry_after=self._next_at - now)
            await woken_within(self._changed, self._next_at - now)
        return False

    def _close(self, refusal: Transient) -> None:
        now = time.monotonic()
        if self._refusal is None:
            log.info("endpoint_refuses", error=str(refusal))
            self._closed_at = now
            CLOSED.set(1)
        if self._cold_since is None and isinstance(refusal, EndpointCold):
            self._cold_since = now
        self._refusal, self._refused_at = refusal, now
        self._next_at = now + (AGAIN_SECONDS if refusal.retry_after is None else refusal.retry_after)
        self._wake()

    def _note_warmth(self) -> None:
        if self._cold_since is not None:
            COLD_SECONDS.observe(time.monotonic() - self._cold_since)
            self._cold_since = None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _again(refusal: Transient, since: float, *, retry_after: float) -> Transient:
    """The same refusal, for a chunk that did not ask."""
    error = type(refusal)(str(refusal), code=refusal.code, retry_after=retry_after)
    error.since = since
    return error
