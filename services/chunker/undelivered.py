"""Work that JetStream delivers no more: its job is told, so that none waits for ever.

That happens where an operator gave a consumer a `max_deliver`; ours have none.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from services.common.bus import Bus, Stored, woken_within
from services.common.errors import Permanent, ServiceError
from services.contracts import topology, traces
from services.contracts.identifiers import run_id
from services.contracts.messages import (
    HEADER,
    ChunkFailed,
    MessageGivenUp,
    Problem,
    StartJob,
    TranscribeChunk,
)
from services.contracts.topology import Stream

log = structlog.get_logger()

POLL_SECONDS = 1.0

GiveUp = Callable[[StartJob, ServiceError], Awaitable[None]]
"""Ends the attempt of a command that nobody could obey."""


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """What JetStream says of such a message; it stays in its queue."""

    stream: str
    stream_seq: int
    deliveries: int
    timestamp: datetime

    def letter(self, original: Stored) -> MessageGivenUp:
        """The dead letter of this message."""
        message = f"it was delivered {self.deliveries} times, the most its queue allows, without an outcome"
        return MessageGivenUp(
            stream=self.stream,
            sequence=self.stream_seq,
            subject=original.subject,
            deliveries=self.deliveries,
            problem=Problem(code="given_up", message=message),
            at=self.timestamp.timestamp(),
        )


async def still_queued(bus: Bus, stream: str, sequence: int) -> Stored | None:
    """A command or a chunk that still lies in its queue."""
    if stream == Stream.CTL:
        return await bus.at(Stream.CTL, sequence)
    if stream == Stream.CHUNK:
        return await bus.at(Stream.CHUNK, sequence)
    return None


class Undelivered:
    """Settles what JetStream gave up; any number of processes may do so."""

    def __init__(self, bus: Bus, give_up: GiveUp) -> None:
        self._bus = bus
        self._give_up = give_up

    async def run(self, stop: asyncio.Event) -> None:
        """Work until the stop."""
        async with self._bus.woken_by(topology.UNDELIVERED) as woken:
            while not stop.is_set():
                woken.clear()
                try:
                    await self._settle_all()
                except ServiceError as error:
                    log.info("undelivered_deferred", error=str(error))
                await woken_within(woken, POLL_SECONDS)

    async def _settle_all(self) -> None:
        after = 0
        while (stored := await self._bus.next(Stream.DLQ, topology.UNDELIVERED, after)) is not None:
            after = stored.sequence
            advisory = msgspec.json.decode(stored.data, type=Advisory)
            original = await still_queued(self._bus, advisory.stream, advisory.stream_seq)
            if original is not None:
                await self._settle(advisory, original)
            await self._bus.remove(Stream.DLQ, stored.sequence)

    async def _settle(self, advisory: Advisory, original: Stored) -> None:
        """Tell the job, then the operator, and only then take the message out of its queue."""
        with bound_contextvars(**_log_keys(original)):
            await self._given_up(advisory, original)

    async def _given_up(self, advisory: Advisory, original: Stored) -> None:
        letter = advisory.letter(original)
        log.warning("message_given_up", subject=original.subject, error=letter.problem.message)
        try:
            if advisory.stream == Stream.CTL:
                command = msgspec.json.decode(original.data, type=StartJob)
                await self._give_up(command, Permanent(letter.problem.message, code=letter.problem.code))
            else:
                await self._mark_gap(original, letter.problem)
        except (msgspec.DecodeError, KeyError) as error:
            log.error("message_unreadable", subject=original.subject, error=str(error))  # noqa: TRY400
        subject = topology.dead_letter(advisory.stream, advisory.stream_seq)
        await self._bus.create(subject, msgspec.json.encode(letter))
        await self._bus.remove(advisory.stream, advisory.stream_seq)

    async def _mark_gap(self, original: Stored, problem: Problem) -> None:
        command = msgspec.json.decode(original.headers[HEADER], type=TranscribeChunk)
        event = ChunkFailed(
            chunk=command.chunk,
            start=command.start,
            end=command.end,
            attempt=command.attempt,
            problem=problem,
        )
        run = run_id(command.job, command.run)
        await self._bus.create(topology.gap(run, command.chunk, command.attempt), msgspec.json.encode(event))


def _log_keys(original: Stored) -> Mapping[str, str]:
    """What the log lines about a command or a chunk carry, be it readable or not."""
    try:
        work = msgspec.json.decode(
            original.headers.get(HEADER) or original.data, type=StartJob | TranscribeChunk
        )
    except msgspec.DecodeError:
        return {"job_id": topology.job_of_work(original.subject)}
    return traces.log_keys(work.job, work.trace)
