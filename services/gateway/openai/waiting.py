"""Waiting for a job's words: its transcript as it grows, until the job has ended."""

import time
from collections.abc import AsyncIterator

from aiohttp import web

from services.common.bus import woken_within
from services.contracts.messages import JobRecord
from services.gateway.caller import may_listen
from services.gateway.errors import NotFound, Unauthorized, Unavailable
from services.gateway.events import LOST_END_SECONDS
from services.gateway.feeds import FEEDS, Feed
from services.gateway.identity import Identity
from services.gateway.openai.errors import ClientLeft, NotTranscribed
from services.gateway.results import RESULTS
from services.gateway.sse import EventStream
from services.gateway.transcript import Transcript
from services.gateway.wakeups import WAKEUPS

AGAIN_SECONDS = 5.0


async def transcripts(
    app: web.Application, identity: Identity, record: JobRecord, stream: EventStream, pause: float
) -> AsyncIterator[Transcript]:
    """The same transcript again and again, at least every `pause` seconds; the last time the job has ended.

    Raises `NotFound` for a job that is deleted meanwhile, `Unavailable` when this process stops,
    `Unauthorized` when the caller's session ends, and `ClientLeft` when nobody waits any more.
    """
    transcript, after = Transcript(), 0
    async with app[FEEDS].following(record, 0) as feed:
        with feed.waking(stream.woken):
            while True:
                stream.woken.clear()
                await _check(app, identity, feed, stream)
                async for found in app[RESULTS].events(feed.record, after):
                    after = found.sequence
                    transcript.add(found.event)
                yield transcript
                if _is_over(transcript, record, feed):
                    return
                await woken_within(stream.woken, pause)


async def _check(app: web.Application, identity: Identity, feed: Feed, stream: EventStream) -> None:
    feed.check()
    if stream.gone:
        raise ClientLeft("the client left; its job goes on")
    if app[WAKEUPS].closing:
        raise Unavailable(
            "the server is restarting; the recording is stored: send it again, and it is recognised",
            retry_after=AGAIN_SECONDS,
        )
    if not await may_listen(app, identity):
        raise Unauthorized("this session or token was ended; the job goes on")
    if feed.deleted:
        raise NotFound("the recording was deleted before its text was complete")


def _is_over(transcript: Transcript, record: JobRecord, feed: Feed) -> bool:
    """Whether this attempt has ended; the end of one before is nobody's end."""
    if transcript.ended is not None:
        return transcript.ended.attempt >= record.attempt
    since = feed.final_since
    if since is not None and time.monotonic() - since >= LOST_END_SECONDS:
        raise NotTranscribed("the transcript has expired: send the recording again", code="text_expired")
    return False
