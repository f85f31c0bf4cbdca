"""Dead letters: the work that was given up, and what an operator can do about it."""

import msgspec

from services.chunker.undelivered import Advisory, still_queued
from services.common.bus import Bus, Stored
from services.common.documents import Documents
from services.common.errors import Permanent
from services.contracts import attempts, topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord, JobState, MessageGivenUp
from services.contracts.topology import Stream

SERVER_HEADER = "nats-"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the list."""

    number: int
    """Its sequence in DLQ."""
    message: MessageGivenUp

    @property
    def job(self) -> str:
        """The job that the work was for."""
        return topology.job_of_work(self.message.subject)


class NothingToRetryError(Permanent):
    """The work of a dead letter cannot be done again, or not now; the message says why."""

    code = "nothing_to_retry"


class DeadLetters:
    """What stands in DLQ; each act may be repeated."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._jobs = Documents(bus, Stream.JOB, JobRecord)

    async def all(self) -> list[DeadLetter]:
        """Every dead letter, also of messages that wait in their queue until a chunker settles them."""
        letters = [
            DeadLetter(number=stored.sequence, message=msgspec.json.decode(stored.data, type=MessageGivenUp))
            for stored in await self._stored(topology.dead_letter("*"))
        ]
        for stored in await self._stored(topology.UNDELIVERED):
            advisory = msgspec.json.decode(stored.data, type=Advisory)
            original = await still_queued(self._bus, advisory.stream, advisory.stream_seq)
            if original is not None:
                letters.append(DeadLetter(number=stored.sequence, message=advisory.letter(original)))
        return sorted(letters, key=lambda letter: letter.number)

    async def retry(self, letter: DeadLetter) -> str:
        """Put the work back; says what was done. Raises `NothingToRetryError`."""
        original = await still_queued(self._bus, letter.message.stream, letter.message.sequence)
        if original is not None:
            await self._put_back(original)
            await self.discard(letter)
            return f"{original.subject} waits in its queue again"
        record = await self._record(letter)
        if not await self._incomplete(record):
            await self._drop_all_of(record.id)
            return f"job {record.id} lacks nothing any more"
        await self._check_audio(record)
        await self._begin(record)
        await self._drop_all_of(record.id)
        return f"job {record.id} is tried again, all that it lacks"

    async def discard(self, letter: DeadLetter) -> None:
        """Forget the letter, and the message where it still lies in its queue."""
        await self._bus.remove(letter.message.stream, letter.message.sequence)
        await self._bus.remove(Stream.DLQ, letter.number)

    async def _put_back(self, original: Stored) -> None:
        """Store the message once more; JetStream counts the deliveries of the new one from one."""
        own = {
            name: value
            for name, value in original.headers.items()
            if not name.lower().startswith(SERVER_HEADER)
        }
        await self._bus.replace(original.subject, original.data, expected=original.sequence, headers=own)

    async def _record(self, letter: DeadLetter) -> JobRecord:
        """The job of the letter, once it has ended."""
        subjects = await self._bus.subjects(Stream.JOB, topology.job_record("*", letter.job))
        found = [await self._jobs.newest(subject) for subject in subjects]
        records = [record for record in found if record is not None and not record.deleted]
        if not records:
            raise NothingToRetryError("its job was deleted: discard the letter")
        if not records[0].state.final:
            raise NothingToRetryError(f"job {records[0].id} is still at work: try again when it has ended")
        return records[0]

    async def _incomplete(self, record: JobRecord) -> bool:
        run = run_id(record.id, record.run)
        gaps = await self._bus.subjects(Stream.RES, topology.gap(run))
        texts = await self._bus.subjects(Stream.RES, topology.text(run))
        missing = {subject.split(".")[3] for subject in gaps} - {subject.split(".")[3] for subject in texts}
        return bool(missing) or record.state is JobState.FAILED

    async def _check_audio(self, record: JobRecord) -> None:
        if not await self._bus.subjects(Stream.UP, topology.part(run_id(record.id, record.run), 0)):
            raise NothingToRetryError(
                f"the recording of job {record.id} is erased by now: discard the letter"
            )

    async def _begin(self, record: JobRecord) -> None:
        """The job's next attempt; the command first, so that what the record says has somebody to do it."""
        wanted = attempts.retried(record)
        await self._bus.create(
            attempts.waiting_subject(wanted), msgspec.json.encode(attempts.command(wanted))
        )
        subject = topology.job_record(record.owner, record.id)
        await self._jobs.change(subject, lambda old: wanted if old == record else old)

    async def _drop_all_of(self, job: str) -> None:
        """One attempt does all that is missing of a job."""
        for letter in await self.all():
            if letter.job == job:
                await self.discard(letter)

    async def _stored(self, subjects: str) -> list[Stored]:
        found, after = [], 0
        while (stored := await self._bus.next(Stream.DLQ, subjects, after)) is not None:
            found.append(stored)
            after = stored.sequence
        return found
