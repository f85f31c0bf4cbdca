"""The door of all uploads: who may come in, how many at a time, and how each upload ends."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator

import structlog
from aiohttp import web
from prometheus_client import Counter, Gauge

from services.common import tracing
from services.common.errors import ServiceError, StorageFull
from services.common.tracing import Kind
from services.contracts import traces
from services.contracts.identifiers import job_id
from services.contracts.messages import JobRecord
from services.contracts.topology import Stream
from services.gateway.beside import beside
from services.gateway.budgets import Budgets
from services.gateway.errors import InvalidRequest, TooManyUploads, UploadInterrupted
from services.gateway.fields import Fields, OwnFields
from services.gateway.identity import Identity
from services.gateway.limits import Entrance, limits
from services.gateway.reception import Deadline, Reception, Stores, too_large
from services.gateway.settings import Settings
from services.gateway.subject import concerns, concerns_job, sent
from services.gateway.submission import MAX_FIELD_BYTES, Meter, Submission

log = structlog.get_logger()

BUSY_RETRY_SECONDS = 10.0
DRAIN_SHARE = 0.6
"""Of the drain time: uploads that run longer are interrupted in good order."""

UPLOADS = Counter("whisper_uploads_total", "Uploads by how they ended", ["outcome"])
for outcome in ("stored", "repeated", "broken_off", UploadInterrupted.code, StorageFull.code):
    UPLOADS.labels(outcome)
RUNNING = Gauge("whisper_uploads_in_progress", "Uploads being received")


class Intake:
    """Takes recordings in."""

    def __init__(self, stores: Stores, settings: Settings) -> None:
        self._stores = stores
        self._settings = settings
        self._entrance = Entrance(limits(settings))
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.budgets = Budgets(stores.bus, settings.storage_refuse_share)

    async def take(
        self,
        request: web.Request,
        identity: Identity,
        fields: Fields | None = None,
        *,
        whole: bool = False,
    ) -> tuple[JobRecord, bool]:
        """Store the recording of a request; its job, and whether it is new.

        `fields` takes the fields around it. With `whole`, nothing stays of an upload that breaks off.
        """
        key = idempotency_key(request)
        job = job_id(identity.user, key)
        with tracing.span("upload", sent(request), Kind.SERVER, job=job) as span:
            trace = span.traceparent or traces.made()
            concerns_job(request, job, trace)
            record, new = await self._taken(request, identity, key, fields, trace=trace, whole=whole)
            span.note(bytes=record.upload_bytes)
        return concerns(request, record), new

    async def _taken(
        self,
        request: web.Request,
        identity: Identity,
        key: str,
        fields: Fields | None,
        *,
        trace: str,
        whole: bool,
    ) -> tuple[JobRecord, bool]:
        self._check_length(request)
        await self.budgets.check()
        now = await self._stores.bus.now(Stream.UP)
        ledger = await self._stores.jobs.ledger(identity.owner)
        with self._entrance.admitted(identity.owner, job_id(identity.user, key), ledger, now), self._slot():
            meter = Meter(request, self._settings.stall_seconds)
            submission = Submission(request, meter, OwnFields() if fields is None else fields)
            reception = Reception(
                self._stores,
                identity,
                key,
                submission,
                trace=trace,
                max_bytes=self._settings.max_upload_bytes,
                whole=whole,
            )
            return await self._received(reception, meter)

    async def _received(self, reception: Reception, meter: Meter) -> tuple[JobRecord, bool]:
        deadline = Deadline(self._stores.wakeups, self._settings.drain_seconds * DRAIN_SHARE)
        try:
            async with beside(reception.watch(meter, deadline)):
                record, new = await reception.receive()
        except BaseException as error:
            UPLOADS.labels(error.code if isinstance(error, ServiceError) else "broken_off").inc()
            await asyncio.shield(self._abandoned(reception, error))
            raise
        UPLOADS.labels("stored" if new else "repeated").inc()
        return record, new

    async def _abandoned(self, reception: Reception, error: BaseException) -> None:
        try:
            await reception.abandon(error)
        except ServiceError as later:  # chunker and janitor find it in the stream
            log.warning("abandoning_failed", error=str(later))

    async def until_idle(self) -> None:
        """Come back when no upload is running."""
        await self._idle.wait()

    def _check_length(self, request: web.Request) -> None:
        """Refuse by the announced length before a byte is read; a form is a little longer than its file."""
        room = MAX_FIELD_BYTES if request.content_type.startswith("multipart/") else 0
        if (request.content_length or 0) > self._settings.max_upload_bytes + room:
            raise too_large(self._settings.max_upload_bytes)

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._running >= self._settings.max_uploads:
            raise TooManyUploads(
                f"{self._running} uploads are running, the most this server takes; try again soon",
                retry_after=BUSY_RETRY_SECONDS,
            )
        self._running += 1
        self._idle.clear()
        try:
            with RUNNING.track_inprogress():
                yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()


INTAKE = web.AppKey("intake", Intake)


def idempotency_key(request: web.Request) -> str:
    """The request's key, or a new one."""
    return checked_key(request.headers.get("Idempotency-Key", "") or str(uuid.uuid4()))


def checked_key(text: str) -> str:
    """A key in its one spelling; raises `InvalidRequest` when it is no UUID."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidRequest(
            f"the Idempotency-Key {text[:80]!r} is no UUID; send one such as {uuid.uuid4()}",
            field="Idempotency-Key",
        ) from None
