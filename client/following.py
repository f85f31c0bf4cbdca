"""Follows a job: finds it while its recording is on the way, and reads its events through every break."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import aiohttp
import msgspec

from client.answers import EVENTS, End, Job, JobEvent, Jobs
from client.display import Display
from client.errors import ClientError, Refused, Unavailable
from client.events import RawEvent, parse
from client.reading import Reading
from client.retrying import Backoff
from client.session import Session

PATIENCE_SECONDS = 600.0
FIRST_LOOK_SECONDS = 0.2
LONGEST_LOOK_SECONDS = 2.0
STREAM = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
"""The server says something every 10 s at least; a stream that is silent for 30 s is dead."""


async def find(session: Session, key: str) -> Job:
    """Wait for the job of this upload: it exists as soon as the first part is stored."""
    retry = Backoff(PATIENCE_SECONDS)
    pause = FIRST_LOOK_SECONDS
    while True:
        try:
            job = await look_up(session, key)
        except Unavailable as error:
            await retry.wait(error)
            continue
        if job is not None and job.upload.state != "interrupted":  # else the next try has not arrived yet
            return job
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_LOOK_SECONDS)


async def look_up(session: Session, key: str) -> Job | None:
    """The job that was made under this idempotency key, if it exists."""
    found = await session.get("/v1/jobs", Jobs, idempotency_key=key)
    return found.jobs[0] if found.jobs else None


async def follow(session: Session, job_id: str, reading: Reading, display: Display) -> End:
    """Read the job's events up to its end, and show how far it is."""
    async with contextlib.aclosing(events(session, job_id)) as stream:
        async for event in stream:
            texts = reading.take(event)
            display.transcribed(reading.done_seconds, reading.total_seconds, texts)
            display.expected(reading.position, reading.seconds_left)
    if reading.end is None:
        raise ClientError("the server has no further events of this job")
    return reading.end


async def transcript(session: Session, job_id: str, kind: str) -> bytes:
    """The words of the job so far, in the format asked for."""
    retry = Backoff(PATIENCE_SECONDS)
    while True:
        try:
            return await session.get_bytes(f"/v1/jobs/{job_id}/transcript", format=kind)
        except Unavailable as error:
            await retry.wait(error)


async def events(session: Session, job_id: str) -> AsyncGenerator[JobEvent, None]:
    """Every event of the job once, up to its end; a broken stream goes on where it stopped."""
    retry = Backoff(PATIENCE_SECONDS)
    last_id: str | None = None
    while True:
        cause = Unavailable("the server closed the stream of events")
        try:
            async with contextlib.aclosing(_stream(session, job_id, last_id)) as stream:
                async for raw in stream:
                    if raw.id is not None:
                        last_id = raw.id
                        retry.reset()
                    if raw.name in EVENTS:
                        event = msgspec.json.decode(raw.data, type=EVENTS[raw.name])
                        yield event
                        if isinstance(event, End):
                            return
        except Unavailable as error:
            cause = error
        except msgspec.DecodeError as error:
            raise ClientError(f"the server sent an event that cannot be read: {error}") from error
        await retry.wait(cause)


async def _stream(session: Session, job_id: str, last_id: str | None) -> AsyncGenerator[RawEvent, None]:
    headers = {"Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    async with session.request("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=STREAM) as answer:
        if answer.status == 204:
            raise Refused("the server has no further events of this job", status=204, code="ended")
        rest = b""
        async for piece in answer.content.iter_any():
            found, rest = parse(rest, piece)
            for raw in found:
                yield raw
