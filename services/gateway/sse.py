"""An open stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
import structlog
from aiohttp import web
from prometheus_client import Counter, Gauge

from services.common.errors import ServiceError
from services.gateway.beside import beside
from services.gateway.errors import Unavailable
from services.gateway.settings import Settings

log = structlog.get_logger()

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
"""nginx would hold events back without the last, and proxies that compress would without no-transform."""
BUSY_RETRY_SECONDS = 10.0

OPEN = Gauge("whisper_event_streams_open", "Event streams being read")
EVENTS = Counter("whisper_events_sent_total", "Events sent to readers")


class EventStream:
    """Writes events; a reader that takes none for too long is disconnected."""

    def __init__(self, response: web.StreamResponse, settings: Settings) -> None:
        self._response = response
        self._settings = settings
        self._written_at = time.monotonic()

    async def send(self, data: object, *, event: str | None = None, sequence: int | None = None) -> None:
        """One event with `data` as JSON."""
        head = "" if sequence is None else f"id: {sequence}\n"
        head += "" if event is None else f"event: {event}\n"
        await self._write(head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n")
        EVENTS.inc()

    async def comment(self) -> None:
        """A line that keeps proxies and clients from giving up."""
        await self._write(b": still here\n\n")

    async def beat(self) -> None:
        """Send a comment whenever nothing else was sent for long, whatever the events are waiting for."""
        while True:
            silent_until = self._written_at + self._settings.heartbeat_seconds
            await asyncio.sleep(silent_until - time.monotonic())
            if time.monotonic() >= self._written_at + self._settings.heartbeat_seconds:
                await self.comment()

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(self._settings.write_seconds):
            await self._response.write(data)
        self._written_at = time.monotonic()


class Streams:
    """Opens event streams, not more than this process can carry."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = 0

    @contextlib.asynccontextmanager
    async def open(self, request: web.Request, response: web.StreamResponse) -> AsyncIterator[EventStream]:
        """A stream that ends quietly when its reader goes or the broker is away: readers come back."""
        with self._counted():
            await response.prepare(request)  # where the reader has gone by now, its request ends here
            with _ended_quietly(request):
                stream = EventStream(response, self._settings)
                async with beside(stream.beat()):
                    yield stream
                await response.write_eof()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        if self._open >= self._settings.max_streams:
            raise Unavailable(
                f"{self._open} event streams are open, the most this server carries; try again soon",
                retry_after=BUSY_RETRY_SECONDS,
            )
        self._open += 1
        try:
            with OPEN.track_inprogress():
                yield
        finally:
            self._open -= 1


@contextlib.contextmanager
def _ended_quietly(request: web.Request) -> Iterator[None]:
    try:
        yield
    except ConnectionResetError:
        log.debug("reader_gone")
    except TimeoutError:
        log.info("reader_too_slow")
        if request.transport is not None:
            request.transport.abort()
    except ServiceError as error:
        log.info("event_stream_broken_off", error=str(error))


STREAMS = web.AppKey("streams", Streams)


def event_stream_response() -> web.StreamResponse:
    """The response that an event stream is written to."""
    return web.StreamResponse(headers=HEADERS)
