"""Receive one recording: what the request means for its job, its parts, and its end, good or bad."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from services.common.bus import Bus, woken_within
from services.common.errors import ServiceError, StorageFull
from services.common.stages import STAGE_SECONDS
from services.contracts.hotwords import ListUsed
from services.contracts.identifiers import job_id, run_id
from services.contracts.messages import (
    SHORT_UPLOAD_BYTES,
    JobOptions,
    JobRecord,
    Lane,
    Priority,
    Problem,
    UploadState,
)
from services.gateway import forms
from services.gateway.claim import claimed
from services.gateway.destinations import Destinations
from services.gateway.errors import (
    DifferentContent,
    EmptyFile,
    HttpError,
    InvalidRequest,
    NotFound,
    TooLarge,
    UploadInterrupted,
)
from services.gateway.hotwords import HotwordLists
from services.gateway.identity import Identity
from services.gateway.jobs import Jobs, last_part, settled_upload
from services.gateway.parts import PartWriter
from services.gateway.rewording import asks_the_same, described
from services.gateway.submission import Meter, Submission
from services.gateway.wakeups import Wakeups

log = structlog.get_logger()

TICK_SECONDS = 0.5

UPLOAD_SECONDS = STAGE_SECONDS.labels("upload")


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What receiving needs; the bus is the one kept for uploads, the window bounds what is on its way."""

    bus: Bus
    window: asyncio.Semaphore
    jobs: Jobs
    hotwords: HotwordLists
    wakeups: Wakeups
    receivers: Destinations


class Reception:
    """`receive` beside `watch`; when either fails, `abandon`."""

    def __init__(
        self,
        stores: Stores,
        identity: Identity,
        key: str,
        submission: Submission,
        *,
        trace: str,
        max_bytes: int,
        whole: bool = False,
    ) -> None:
        """`trace` is what a new run gets; with `whole`, an upload that breaks off is erased as useless."""
        self._stores = stores
        self._identity = identity
        self._job = job_id(identity.user, key)
        self._submission = submission
        self._trace = trace
        self._max_bytes = max_bytes
        self._whole = whole
        self._runs: set[int] = set()
        """Of this job, those that are ours."""
        self._record: JobRecord | None = None
        self._writer: PartWriter | None = None

    async def receive(self) -> tuple[JobRecord, bool]:
        """Take the recording in; its job, and whether it is new."""
        await self._submission.open()
        options, used = await self._options()
        pieces = self._submission.recording()
        first = await anext(pieces, b"")
        if not first:
            raise EmptyFile("the recording is empty: it has no bytes; choose another file")
        began = time.monotonic()
        draft, start = self._draft(options, used), not self._submission.fields_may_follow
        record = await claimed(self._stores.bus, self._stores.jobs, draft, start=start)
        if record.upload is UploadState.STORED:
            await self._compare(record, first, pieces)
            return record, False
        stored = await self._stored(record, first, pieces)
        UPLOAD_SECONDS.observe(time.monotonic() - began)
        return stored, True

    async def watch(self, meter: Meter, deadline: "Deadline") -> None:
        """Keep the upload alive in the stream, and end it when it must not go on."""
        with self._stores.wakeups.on(self._job) as woken:
            while True:
                await woken_within(woken, TICK_SECONDS)
                meter.check()
                deadline.check()
                if self._writer is not None:
                    await self._writer.tick()
                if woken.is_set():
                    woken.clear()
                    await self._check_record()

    async def abandon(self, error: BaseException) -> None:
        """Leave the job in good order after `error`: erased if it never began, else interrupted."""
        if self._record is None or self._writer is None:
            return
        if isinstance(error, NotFound):  # deleted, or begun anew elsewhere: not ours any more
            await self._writer.cancel()
        elif self._whole or _never_began(error, self._writer):
            await self._writer.cancel()
            await self._erase(self._record, problem_of(error))
        else:
            await self._interrupt(self._record, self._writer, problem_of(error))

    async def _options(self) -> tuple[JobOptions, ListUsed | None]:
        """What the fields ask for, and the stored list that the hotwords are from."""
        fields = self._submission.fields.options()
        stored, used = await self._stores.hotwords.used(self._identity.owner, forms.named_list(fields))
        options = forms.job_options(fields, stored, self._stores.receivers)
        return options, None if forms.brings_words(fields) else used

    def _draft(self, options: JobOptions, used: ListUsed | None) -> JobRecord:
        return JobRecord(
            id=self._job,
            owner=self._identity.owner,
            user=self._identity.user,
            session=self._identity.session,
            name=self._name(),
            options=options,
            hotword_list=used,
            created_at=0.0,  # told by the broker's clock once the run is claimed
            lane=self._lane(options),
            announced_bytes=self._submission.announced_bytes,
            trace=self._trace,
        )

    def _lane(self, options: JobOptions) -> Lane:
        if options.priority is Priority.LOW:
            return Lane.LOW
        announced = self._submission.announced_bytes
        return Lane.SHORT if announced is not None and announced < SHORT_UPLOAD_BYTES else Lane.LONG

    def _name(self) -> str:
        return forms.job_name(self._submission.fields.options(), self._submission.filename)

    async def _stored(self, record: JobRecord, first: bytes, pieces: AsyncIterator[bytes]) -> JobRecord:
        self._runs.add(record.run)
        writer = self._parts_of(record)
        self._writer, self._record = writer, record
        log.info("upload_begun", run=record.run, announced_bytes=record.announced_bytes)
        await self._write(writer, first)
        async for piece in pieces:
            await self._write(writer, piece)
        writer, record = await self._close(writer, record)
        await writer.end()
        stored = await self._change(
            record, upload=UploadState.STORED, upload_bytes=writer.size, sha256=writer.sha256
        )
        if self._submission.fields_may_follow:
            await self._stores.jobs.start(stored)
        log.info("upload_stored", run=record.run, bytes=writer.size)
        return stored

    async def _write(self, writer: PartWriter, piece: bytes) -> None:
        if writer.size + len(piece) > self._max_bytes:
            raise too_large(self._max_bytes)
        await writer.write(piece)

    def _parts_of(self, record: JobRecord) -> PartWriter:
        return PartWriter(self._stores.bus, run_id(record.id, record.run), self._stores.window)

    async def _close(self, writer: PartWriter, record: JobRecord) -> tuple[PartWriter, JobRecord]:
        """Read the rest of the form; options that stand there are final before the last part is stored."""
        if not await self._submission.close():
            return writer, record
        found = self._draft(*await self._options())
        if self._submission.fields_may_follow:
            return writer, await self._changed(record, lambda old: described(old, found))
        if not self._submission.fields.either_side:
            raise InvalidRequest("fields stand before and after the file; put all of them before it")
        if found.options == record.options or writer.futile:
            return writer, record
        return await self._begun_again(writer, record, found)

    async def _begun_again(
        self, old: PartWriter, record: JobRecord, found: JobRecord
    ) -> tuple[PartWriter, JobRecord]:
        """Move what was uploaded to a new run: the one that began with other options counts no more."""
        run = record.run + 1
        self._runs.add(run)
        await self._stores.jobs.start(msgspec.structs.replace(record, run=run, lane=found.lane))

        def begun(old: JobRecord) -> JobRecord:
            if old.run != record.run or old.deleted:
                return old
            fresh = msgspec.structs.replace(
                record,
                run=run,
                options=old.options,
                hotword_list=old.hotword_list,
                hotwords_revision=old.hotwords_revision,
            )
            return described(fresh, found)

        new = await self._stores.jobs.change(record, begun)
        if new is None or new.deleted or new.run != run:
            raise NotFound("the job was deleted during its upload")
        writer = self._parts_of(new)
        async for piece in old.read_back():
            await writer.write(piece)
        self._writer, self._record = writer, new
        await self._stores.jobs.erase_run(new, record.run)
        return writer, new

    async def _compare(self, record: JobRecord, first: bytes, pieces: AsyncIterator[bytes]) -> None:
        """Read the recording again without storing it; raises `DifferentContent`."""
        digest, size = hashlib.sha256(first), len(first)
        async for piece in pieces:
            digest.update(piece)
            size += len(piece)
            if size > record.upload_bytes:
                break
        else:
            await self._submission.close()
        fields, receivers = self._submission.fields.options(), self._stores.receivers
        if digest.hexdigest() != record.sha256 or not asks_the_same(record, fields, receivers):
            raise DifferentContent(
                "this Idempotency-Key stands for a job with other content or options; use a new key"
            )

    async def _check_record(self) -> None:
        if self._record is None or self._writer is None:
            return
        found = await self._stores.jobs.get(self._record.owner, self._record.id)
        if found is None or found.deleted or found.run not in self._runs:
            found = await self._stores.jobs.newest(self._record)
        if found is None or found.deleted or found.run not in self._runs:
            raise NotFound("the job was deleted during its upload")
        if found.upload is UploadState.INTERRUPTED:
            raise UploadInterrupted("the upload paused for too long and was ended; send the recording again")
        self._writer.futile = found.state.final  # the recording cannot be decoded: the rest changes nothing

    async def _change(self, record: JobRecord, **changes: object) -> JobRecord:
        """Change fields of our run's record; raises `NotFound` if it is not ours any more."""
        return await self._changed(record, lambda old: msgspec.structs.replace(old, **changes))

    async def _changed(self, record: JobRecord, change: Callable[[JobRecord], JobRecord]) -> JobRecord:
        """The same by a pure function."""

        def ours(old: JobRecord) -> JobRecord:
            return change(old) if old.run == record.run and not old.deleted else old

        changed = await self._stores.jobs.change(record, ours)
        if changed is None or changed.deleted or changed.run != record.run:
            raise NotFound("the job was deleted during its upload")
        return changed

    async def _interrupt(self, record: JobRecord, writer: PartWriter, problem: Problem) -> None:
        """Say so in the stream and in the record; the chunker transcribes what arrived."""
        upload: dict[str, object] = {"upload": UploadState.INTERRUPTED, "upload_bytes": writer.size}
        try:
            await writer.interrupt(problem)
        except ServiceError as error:
            log.info("interrupting_failed", error=str(error))
            upload = await self._found_instead(record)
        changed = await self._change(record, **upload)
        if self._submission.fields_may_follow:
            await self._stores.jobs.start(changed)
        log.info("upload_ended_early", run=record.run, bytes=writer.size, code=problem.code)

    async def _found_instead(self, record: JobRecord) -> dict[str, object]:
        """What the stream says where our word came too late: the upload was complete, or declared dead."""
        settled = settled_upload(record, await last_part(self._stores.bus, record))
        return {
            "upload": settled.upload,
            "upload_bytes": settled.upload_bytes,
            "sha256": settled.sha256,
        }

    async def _erase(self, record: JobRecord, problem: Problem) -> None:
        """Hide the job; the problem on its tombstone lets the same key begin again."""

        def hidden(old: JobRecord) -> JobRecord:
            if old.deleted or old.run != record.run:
                return old
            return msgspec.structs.replace(
                old, deleted=True, name="", problem=problem, upload=UploadState.INTERRUPTED
            )

        await self._stores.jobs.change(record, hidden)
        await self._stores.jobs.erase(record)


class Deadline:
    """When running uploads must end because the process does."""

    def __init__(self, wakeups: Wakeups, seconds: float) -> None:
        self._wakeups = wakeups
        self._seconds = seconds
        self._at: float | None = None

    def check(self) -> None:
        """Raise `UploadInterrupted` once the process has been stopping for too long."""
        if not self._wakeups.closing:
            return
        self._at = self._at or time.monotonic() + self._seconds
        if time.monotonic() >= self._at:
            raise UploadInterrupted("the server is restarting; send the recording again")


def problem_of(error: BaseException) -> Problem:
    """What the job says about an upload that ended with `error`."""
    if isinstance(error, ServiceError):
        return Problem(code=error.code, message=str(error))
    return Problem(code="upload_interrupted", message="The upload was broken off; send the recording again.")


def too_large(max_bytes: int) -> TooLarge:
    """The refusal of a recording over the limit."""
    return TooLarge(
        f"the recording is larger than {max_bytes / 1e9:g} GB, the most that this server takes; send it in "
        "pieces, or compressed as MP3 or M4A"
    )


def _never_began(error: BaseException, writer: PartWriter) -> bool:
    """Whether the request itself was wrong, or nothing of it could be stored."""
    if isinstance(error, StorageFull):
        return writer.stored == 0
    return isinstance(error, HttpError) and error.status == InvalidRequest.status
