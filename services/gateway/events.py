"""`GET /v1/jobs/{id}/events`: what happened to a job, from any point on, until its end."""

import time

from aiohttp import web

from services.common import tracing
from services.common.stages import STAGE_SECONDS
from services.common.tracing import Kind
from services.gateway.caller import caller, may_listen
from services.gateway.errors import InvalidRequest
from services.gateway.event_views import end_of_record
from services.gateway.feeds import FEEDS, Feed, Standing, Told
from services.gateway.jobs import JOBS
from services.gateway.middleware import TRACEPARENT
from services.gateway.sse import STREAMS, EventStream, event_stream_response
from services.gateway.subject import concerns

LOST_END_SECONDS = 10.0
"""A job that ended this long ago and shows no end event has lost its events to retention."""
PROGRESS_SECONDS = 1.0
"""Progress alone is told at most this often."""

DELIVER_SECONDS = STAGE_SECONDS.labels("deliver")


async def get_events(request: web.Request) -> web.StreamResponse:
    """Replay the events after `Last-Event-ID` and go on live; 204 when nothing can follow."""
    identity = caller(request)
    record = concerns(request, await request.app[JOBS].visible(identity.owner, request.match_info["id"]))
    after = _after(request)
    async with request.app[FEEDS].following(record, after) as feed:
        if feed.progress.end_of(feed.record.attempt) and after >= feed.progress.sequence:
            record = await request.app[JOBS].newest(record) or record  # its gaps may be tried again by now
            if feed.progress.end_of(record.attempt):
                return web.Response(status=204)
        response = event_stream_response()
        async with request.app[STREAMS].open(request, response) as stream:
            reader = _Reader(feed, stream, after)
            told = tracing.span("events", request[TRACEPARENT], Kind.SERVER)
            with feed.waking(stream.woken), told:
                while await may_listen(request.app, identity) and not await reader.advance():
                    await stream.woken.wait()
    return response


class _Reader:
    """One client's place in one job's events."""

    def __init__(self, feed: Feed, stream: EventStream, after: int) -> None:
        self._feed = feed
        self._stream = stream
        self._after = after
        self._came_at = feed.now()
        self._told: Standing | None = None
        self._told_at = 0.0

    async def advance(self) -> bool:
        """Send what is new; whether the job has ended or was deleted, or the reader has left."""
        self._stream.woken.clear()
        self._feed.check()
        if self._feed.deleted or self._stream.gone:
            return True
        await self._tell_standing()
        return await self._tell_events() or await self._tell_lost_end()

    async def _tell_events(self) -> bool:
        """Send what is stored; whether that was the end. The ends of earlier attempts are nobody's end."""
        while (told := await self._feed.next(self._after)) is not None:
            over = await self._feed.is_last(told)
            if over:
                await self._tell_standing()
            if over or told.ends is None:
                await self._stream.write(told.data)
                self._note_delay(told)
            self._after = told.sequence
            if over:
                return True
        return False

    def _note_delay(self, told: Told) -> None:
        """How long an event took to its reader; one from before the reader came was not under way to it."""
        now = self._feed.now()
        if now is not None and self._came_at is not None and told.stored_at >= self._came_at:
            DELIVER_SECONDS.observe(max(0.0, now - told.stored_at))

    async def _tell_standing(self) -> None:
        now, new, old = time.monotonic(), self._feed.standing, self._told
        if old is not None and old.state == new.state:
            too_soon = now - self._told_at < PROGRESS_SECONDS
            if too_soon or old.percent == new.percent:
                return
        await self._stream.write(new.data)
        self._told, self._told_at = new, now

    async def _tell_lost_end(self) -> bool:
        """The end of a job whose end event is gone, from its record."""
        since = self._feed.final_since
        if since is None or time.monotonic() - since < LOST_END_SECONDS:
            return False
        await self._stream.send(end_of_record(self._feed.record), event="end")
        return True


def _after(request: web.Request) -> int:
    text = request.headers.get("Last-Event-ID") or request.query.get("after") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > len(str(2**63)):
        raise InvalidRequest(f"{text[:40]!r} is no event id; send one that the stream gave", field="after")
    return int(text)
