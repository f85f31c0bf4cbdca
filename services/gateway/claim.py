"""Which run of which job an upload is: a new one, one more after a break, or the repeat of a complete one."""

import msgspec

from services.common.bus import Bus
from services.contracts.messages import JobRecord, UploadState
from services.contracts.topology import Stream
from services.gateway.errors import DifferentContent, UploadInProgress
from services.gateway.jobs import Jobs, last_part, settled_upload

DEAD_SECONDS = 45.0
"""No part for this long: its gateway is gone, as a living one stores an empty part every 10 s."""
BUSY_RETRY_SECONDS = 5.0


async def claimed(bus: Bus, jobs: Jobs, draft: JobRecord, *, start: bool) -> JobRecord:
    """The record of a run that is ours to fill, or that of a complete upload to compare with.

    With `start`, the command is stored before the record: once a record promises a job, somebody works on
    it. Raises `UploadInProgress`, or `DifferentContent` where the job was deleted.
    """
    while True:
        seen = await jobs.get(draft.owner, draft.id)
        if seen is not None and not seen.deleted:
            seen = await _settled(bus, jobs, seen)
            if seen.upload is UploadState.STORED:
                return seen
        run = 0 if seen is None else _next_run(seen)
        new = msgspec.structs.replace(draft, run=run, created_at=await bus.now(Stream.UP))
        if start:
            await jobs.start(new)
        if await (jobs.create(new) if seen is None else jobs.replace(seen, new)):
            if seen is not None:
                await jobs.erase_run(seen, seen.run)
            return new


async def _settled(bus: Bus, jobs: Jobs, seen: JobRecord) -> JobRecord:
    """The record as its parts tell: done, broken off, or dead; raises `UploadInProgress` for a living one."""
    if seen.upload is not UploadState.RECEIVING:
        return seen
    last = await last_part(bus, seen)
    settled = settled_upload(seen, last)
    if settled != seen:
        return await jobs.change(seen, lambda old: settled if old == seen else old) or seen
    begun = seen.created_at if last is None else last.stored_at
    if await bus.now(Stream.UP) - begun < DEAD_SECONDS:
        raise UploadInProgress(
            "an upload with this Idempotency-Key is still running; wait for it, or use another key",
            retry_after=BUSY_RETRY_SECONDS,
        )
    return seen


def _next_run(seen: JobRecord) -> int:
    """The run after an upload that broke off; raises where the job must not begin again."""
    if seen.deleted and seen.problem is None:
        raise DifferentContent("the job with this Idempotency-Key was deleted; use a new key")
    return seen.run + 1
