"""From a recording to its text: uploads and follows at the same time, and sends again what broke off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TypeVar

from client.answers import End, Job
from client.errors import Unavailable
from client.following import completed, find, follow, look_up
from client.observer import Observer
from client.reading import Reading
from client.retrying import Backoff
from client.session import Session
from client.uploading import Recording, size, upload

PATIENCE_SECONDS = 120.0
"""Time spent waiting between tries of an upload before it is given up."""

T = TypeVar("T")


class Transcribing:
    """One recording on its way; its fields tell how far it came when it is interrupted."""

    def __init__(self, session: Session, recording: Recording, observer: Observer) -> None:
        self._session = session
        self._recording = recording
        self._observer = observer
        self._known = recording.known
        self.job_id: str | None = None
        self.stored = False
        self.reading = Reading()

    async def run(self) -> str:
        """Take the recording to the end of its job, whose id it returns; raises `JobEnded` without a text."""
        self._size = size(self._recording.path)
        end = await self._again(self._attempt)
        completed(str(self.job_id), end)
        return str(self.job_id)

    async def submit(self) -> Job:
        """Bring the recording to the server, whole, and leave it there."""
        self._size = size(self._recording.path)
        return await self._again(self._upload)

    async def _again(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt it until the upload does not break off, or patience ends."""
        retry = Backoff(PATIENCE_SECONDS)
        while True:
            try:
                return await attempt()
            except _UploadBroke as broke:
                self._observer.broke_off(str(broke))
                await retry.wait(broke)

    async def _attempt(self) -> End:
        async with _task(self._follow()) as following, _task(self._upload()) as uploading:
            await asyncio.wait({uploading, following}, return_when=asyncio.FIRST_COMPLETED)
            if following.done() and (early := following.result()).status != "interrupted":
                return early  # over before it was sent whole, because it is no audio for instance
            await uploading  # says what broke it
            end = await following
        return end if end.status != "interrupted" else await self._follow()  # that was an earlier try's end

    async def _upload(self) -> Job:
        try:
            job = await self._already_stored() or await upload(self._session, self._recording, self._report)
        except Unavailable as error:
            self._known = True
            raise _UploadBroke(str(error), retry_after=error.retry_after) from error
        self.job_id, self.stored = job.id, True
        self._report(self._size)
        self._observer.stored(job)
        return job

    async def _already_stored(self) -> Job | None:
        """The job, where the try before stored everything and only its answer was lost."""
        job = await look_up(self._session, self._recording.key) if self._known else None
        return job if job and job.upload.state == "stored" else None

    async def _follow(self) -> End:
        self.reading = Reading()
        job = await find(self._session, self._recording.key)
        self.job_id = job.id
        return await follow(self._session, job.id, self.reading, self._observer)

    def _report(self, sent: int) -> None:
        self._observer.uploaded(sent, self._size)


class _UploadBroke(Unavailable):
    """The upload did not arrive whole, and may on another try."""


@contextlib.asynccontextmanager
async def _task(work: Coroutine[object, object, T]) -> AsyncIterator[asyncio.Task[T]]:
    """A task that is over when the context closes."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
