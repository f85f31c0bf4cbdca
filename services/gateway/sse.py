"""Open streams of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
import structlog
from aiohttp import web
from prometheus_client import Counter, Gauge

from services.common.bus import woken_within
from services.common.errors import ServiceError
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
COMMENT = b": still here\n\n"
LONGEST_BEAT_SECONDS = 1.0
"""How long a reader that left, or takes nothing, may go unnoticed beyond its time."""

OPEN = Gauge("whisper_event_streams_open", "Event streams being read")
EVENTS = Counter("whisper_events_sent_total", "Events sent to readers")
CUT_OFF = Counter("whisper_event_readers_cut_off_total", "Readers that took nothing for too long")


def encoded(data: object, *, event: str | None = None, sequence: int | None = None) -> bytes:
    """One event with `data` as JSON, as it goes over the wire."""
    head = "" if sequence is None else f"id: {sequence}\n"
    head += "" if event is None else f"event: {event}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


class EventStream:
    """One reader's connection. Whoever writes to it may be kept waiting by a reader that takes nothing."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        """The answer begins with `begin`; until then the connection is only watched."""
        self._request = request
        self._response = response
        self._written_at = time.monotonic()
        self._writing_since: float | None = None
        self._beat: bytes | None = None
        self.woken = asyncio.Event()
        """There may be news for this reader, or its connection is gone."""
        self.gone = False
        """The reader has left."""

    @property
    def begun(self) -> bool:
        """Whether the answer's head is sent."""
        return self._beat is not None

    async def begin(self, beat: bytes = COMMENT) -> None:
        """Send the head of the answer, and from now on `beat` after each long silence."""
        await self._response.prepare(self._request)
        self._beat = beat

    async def end(self) -> None:
        """The answer is complete."""
        await self._response.write_eof()

    def break_off(self) -> None:
        """Close the connection, so that nobody takes what was sent for the whole answer."""
        log.info("answer_broken_off")
        if self._request.transport is not None:
            self._request.transport.close()

    async def send(self, data: object, *, event: str | None = None) -> None:
        """One event with `data` as JSON."""
        await self.write(encoded(data, event=event))

    async def write(self, event: bytes) -> None:
        """One event that is `encoded` already."""
        self._writing_since = time.monotonic()
        await self._response.write(event)
        self._writing_since = None
        self._written_at = time.monotonic()
        EVENTS.inc()

    async def comment(self) -> None:
        """A line that keeps proxies and clients from giving up."""
        await self._response.write(COMMENT)
        self._written_at = time.monotonic()

    async def tend(self, now: float, settings: Settings) -> None:
        """Notice a reader that left, cut off one that takes nothing, and comment on a long silence."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            self.gone = True
            self.woken.set()
        elif self._writing_since is not None and now - self._writing_since >= settings.write_seconds:
            log.info("reader_too_slow")
            CUT_OFF.inc()
            transport.abort()
        elif self._beat is not None and self._is_silent(now - settings.heartbeat_seconds, transport):
            await self._response.write(self._beat)  # to an empty buffer, which keeps nobody waiting
            self._written_at = time.monotonic()

    def _is_silent(self, since: float, transport: asyncio.Transport) -> bool:
        return self._written_at <= since and not transport.get_write_buffer_size()


class Streams:
    """Opens event streams, not more than this process can carry."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: set[EventStream] = set()

    @property
    def heartbeat_seconds(self) -> float:
        """The longest silence."""
        return self._settings.heartbeat_seconds

    @property
    def open_now(self) -> int:
        """Streams that are open."""
        return len(self._open)

    async def tend(self, stop: asyncio.Event) -> None:
        """Look after all open streams until the process stops, whatever their events are waiting for."""
        pause = min(LONGEST_BEAT_SECONDS, self._settings.heartbeat_seconds / 2)
        while not stop.is_set():
            now = time.monotonic()
            for stream in tuple(self._open):
                with contextlib.suppress(ConnectionResetError):  # it left just now
                    await stream.tend(now, self._settings)
            await woken_within(stop, pause)

    @contextlib.asynccontextmanager
    async def open(self, request: web.Request, response: web.StreamResponse) -> AsyncIterator[EventStream]:
        """A stream that ends quietly when its reader goes or the broker is away: readers come back."""
        with self.attended(request, response) as stream:
            await stream.begin()  # where the reader has gone by now, its request ends here
            with _ended_quietly():
                yield stream
                await stream.end()

    @contextlib.contextmanager
    def attended(self, request: web.Request, response: web.StreamResponse) -> Iterator[EventStream]:
        """A place among the streams for an answer that is yet to begin; raises `Unavailable` without one."""
        if self.open_now >= self._settings.max_streams:
            raise Unavailable(
                f"{self.open_now} event streams are open, the most this server carries; try again soon",
                retry_after=BUSY_RETRY_SECONDS,
            )
        stream = EventStream(request, response)
        self._open.add(stream)
        try:
            with OPEN.track_inprogress():
                yield stream
        finally:
            self._open.discard(stream)


@contextlib.contextmanager
def _ended_quietly() -> Iterator[None]:
    try:
        yield
    except ConnectionResetError:
        log.debug("reader_gone")
    except ServiceError as error:
        log.info("event_stream_broken_off", error=str(error))


STREAMS = web.AppKey("streams", Streams)


def event_stream_response() -> web.StreamResponse:
    """The response that an event stream is written to."""
    return web.StreamResponse(headers=HEADERS)
