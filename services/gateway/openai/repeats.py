"""The same recording sent again, as OpenAI's clients do after a time-out: answered by the first job.

Whoever stored a recording to its end leaves a note under what it holds and how it is to be transcribed. A
note is made once (create-only), so of equal uploads that end at once, at any gateways, one is the first.
"""

import asyncio
import hashlib

import msgspec
import structlog
from aiohttp import web
from prometheus_client import Counter

from services.common.bus import Bus, Stored, woken_within
from services.common.errors import ServiceError
from services.contracts import topology
from services.contracts.identifiers import content_token
from services.contracts.messages import JobRecord, JobState, SameContent
from services.contracts.topology import Stream
from services.gateway.errors import HttpError
from services.gateway.jobs import Jobs
from services.gateway.outcomes import RECORDINGS_FAULT
from services.gateway.results import Results
from services.gateway.retries import Retries

log = structlog.get_logger()

RECOGNISED_SECONDS = 600.0
"""After the first job's end: OpenAI's clients give up after as long, and try twice again."""

RECOGNISED = Counter(
    "whisper_repeated_uploads_total", "Recordings that were sent again, and not worked on again"
)


class Repeats:
    """Knows which job was the first of its content."""

    def __init__(self, bus: Bus, jobs: Jobs, results: Results, retries: Retries) -> None:
        self._bus = bus
        self._jobs = jobs
        self._results = results
        self._retries = retries

    async def first(self, record: JobRecord) -> JobRecord:
        """The job to answer from: this one, which is stored to its end, or the one it repeats.

        A repeat is erased. Dying before that costs the work on it, dying before the note that on the next.
        """
        subject = topology.same_content(record.owner, _content(record))
        note = msgspec.json.encode(SameContent(job=record.id))
        while True:
            seen = await self._bus.last(Stream.JOB, subject, by_leader=True)
            known = await self._known(record, seen)
            if known is not None and known.id != record.id:
                await self._jobs.delete(record)
                RECOGNISED.inc()
                log.info("repeat_recognised", first=known.id)
                return known
            if known is not None:
                return record
            expected = seen.sequence if seen else 0
            if await self._bus.replace(subject, note, expected=expected) is not None:
                return record

    async def tend(self, stop: asyncio.Event) -> None:
        """Erase old notes until the process stops."""
        while not stop.is_set():
            await woken_within(stop, RECOGNISED_SECONDS)
            try:
                await self.forget()
            except ServiceError as error:
                log.info("notes_kept", error=str(error))

    async def forget(self) -> None:
        """Erase the notes of jobs that answer no repeat any more. One that is new by then costs a repeat."""
        for subject in await self._bus.subjects(Stream.JOB, topology.same_content("*", "*")):
            seen = await self._bus.last(Stream.JOB, subject)
            if seen is not None and await self._is_old(topology.owner_of_content(subject), seen):
                await self._bus.purge(Stream.JOB, subject)

    async def _is_old(self, owner: str, seen: Stored) -> bool:
        note = msgspec.json.decode(seen.data, type=SameContent)
        found = await self._jobs.get(owner, note.job)
        return found is None or found.deleted or await self._is_over(found)

    async def _known(self, record: JobRecord, seen: Stored | None) -> JobRecord | None:
        """The job that a note tells of, if its text still serves."""
        if seen is None or not seen.data:
            return None
        note = msgspec.json.decode(seen.data, type=SameContent)
        if note.job == record.id:  # our own note, whose answer was lost
            return record
        found = await self._jobs.newest(msgspec.structs.replace(record, id=note.job))
        return await self._serving(found) if found is not None else None

    async def _serving(self, found: JobRecord) -> JobRecord | None:
        """The job as it answers, its gaps tried again; None for one that cannot."""
        if found.deleted or await self._is_over(found):
            return None
        progress = await self._results.progress(found)
        end = progress.end_of(found.attempt)
        if end is None:
            return None if found.state.final else found
        if end.state is not JobState.COMPLETED:
            return found if end.problem and end.problem.code in RECORDINGS_FAULT else None
        try:
            return await self._retries.begin(found) if progress.gaps else found
        except HttpError:  # the recording is erased, so that the gaps need the new one
            return None

    async def _is_over(self, found: JobRecord) -> bool:
        if found.ended_at is None:
            return False
        return await self._bus.now(Stream.JOB) - found.ended_at >= RECOGNISED_SECONDS


REPEATS = web.AppKey("repeats", Repeats)


def _content(record: JobRecord) -> str:
    """What was sent and what is wanted of it, as a subject token."""
    options = hashlib.sha256(msgspec.json.encode(record.options)).hexdigest()
    return content_token(record.sha256 or "", options)
