"""Follows a job: finds it while its recording is on the way, and reads its events through every break."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import aiohttp
import msgspec

from client.answers import EVENTS, End, Job, JobEvent, Jobs
from client.errors import ClientError, JobEnded, Unavailable
from client.events import RawEvent, parse
from client.observer import Observer
from client.reading import Reading
from client.retrying import Backoff, patiently
from client.session import Session

PATIENCE_SECONDS = 600.0
FIRST_LOOK_SECONDS = 0.2
LONGEST_LOOK_SECONDS = 2.0
STREAM = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
"""The server says something every 10 s at least; a stream that is silent for 30 s is dead."""


async def find(session: Session, key: str) -> Job:
    """Wait for the job of this upload: it exists as soon as the first part is stored."""
    pause = FIRST_LOOK_SECONDS
    while True:
        job = await patiently(lambda: look_up(session, key), PATIENCE_SECONDS)
        if job is not None and job.upload.state != "interrupted":  # else the next try has not arrived yet
            return job
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_LOOK_SECONDS)


async def look_up(session: Session, key: str) -> Job | None:
    """The job that was made under this idempotency key, if it exists."""
    found = await session.get("/v1/jobs", Jobs, idempotency_key=key)
    return found.jobs[0] if found.jobs else None


async def follow(session: Session, job_id: str, reading: Reading, observer: Observer) -> End:
    """Read the job's events up to its end, and tell the observer of each."""
    async with contextlib.aclosing(events(session, job_id)) as stream:
        async for event in stream:
            observer.heard(event, reading, reading.take(event))
    if reading.end is None:
        raise ClientError("the server has no further events of this job")
    return reading.end


def completed(job_id: str, end: End) -> None:
    """Raise `JobEnded` unless that is how the job ended."""
    if end.status != "completed":
        message = end.error.message if end.error else f"the job ended as {end.status}"
        raise JobEnded(message, job=job_id, status=end.status)


async def transcript(session: Session, job_id: str, kind: str) -> bytes:
    """The words of the job so far, in the format asked for."""
    return await patiently(
        lambda: session.get_bytes(f"/v1/jobs/{job_id}/transcript", format=kind), PATIENCE_SECONDS
    )


async def events(session: Session, job_id: str, after: str | None = None) -> AsyncGenerator[JobEvent, None]:
    """Every event of the job once, up to its end; a broken stream goes on where it stopped."""
    retry = Backoff(PATIENCE_SECONDS)
    last_id = after
    while True:
        cause = Unavailable("the server closed the stream of events")
        try:
            async with contextlib.aclosing(_stream(session, job_id, last_id)) as stream:
                async for raw in stream:
                    if raw is None:
                        return
                    if raw.id is not None:
                        last_id = raw.id
                        retry.reset()
                    if raw.name in EVENTS:
                        yield (event := _event(raw))
                        if isinstance(event, End):
                            return
        except Unavailable as error:
            cause = error
        await retry.wait(cause)


def _event(raw: RawEvent) -> JobEvent:
    try:
        event = msgspec.json.decode(raw.data, type=EVENTS[raw.name])
    except msgspec.DecodeError as error:
        raise ClientError(f"the server sent an event that cannot be read: {error}") from error
    return event if isinstance(event, Job) else msgspec.structs.replace(event, event_id=raw.id)


async def _stream(
    session: Session, job_id: str, last_id: str | None
) -> AsyncGenerator[RawEvent | None, None]:
    """The events after `last_id`; None where the server says that there is none any more."""
    headers = {"Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    async with session.request("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=STREAM) as answer:
        if answer.status == 204:
            yield None
        rest = b""
        async for piece in answer.content.iter_any():
            found, rest = parse(rest, piece)
            for raw in found:
                yield raw
