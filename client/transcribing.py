"""From a recording to its text: uploads and follows at the same time, and sends again what broke off."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

from client.answers import End, Job
from client.arguments import Arguments
from client.display import Display
from client.errors import ClientError, Unavailable
from client.following import find, follow, look_up, transcript
from client.reading import Reading
from client.retrying import Backoff
from client.session import Session
from client.uploading import upload

PATIENCE_SECONDS = 120.0
"""Time spent waiting between tries of an upload before it is given up."""

T = TypeVar("T")


class Transcribing:
    """One run of the command; its fields tell how far it came when it is interrupted."""

    def __init__(self, session: Session, arguments: Arguments, display: Display) -> None:
        self._session = session
        self._arguments = arguments
        self._display = display
        self._key = str(uuid.uuid4())
        self._size = arguments.audio.stat().st_size
        self.job_id: str | None = None
        self.stored = False
        self.reading = Reading()

    async def run(self) -> bytes:
        """Take the recording to its end and return the transcript in the format asked for."""
        await self._session.login()
        end = await self._end()
        if end.status != "completed":
            raise ClientError(end.error.message if end.error else f"the job ended as {end.status}")
        return await transcript(self._session, str(self.job_id), self._arguments.format)

    async def _end(self) -> End:
        """Upload and follow until the job is over, sending again what broke off."""
        retry = Backoff(PATIENCE_SECONDS)
        while True:
            try:
                return await self._attempt()
            except _UploadBroke as broke:
                self._display.warn(f"The upload broke off ({broke}); trying again.")
                await retry.wait(broke)

    async def _attempt(self) -> End:
        async with _task(self._follow()) as following, _task(self._upload()) as uploading:
            await asyncio.wait({uploading, following}, return_when=asyncio.FIRST_COMPLETED)
            if following.done() and (early := following.result()).status != "interrupted":
                return early  # over before it was sent whole, because it is no audio for instance
            await uploading  # says what broke it
            end = await following
        return end if end.status != "interrupted" else await self._follow()  # that was an earlier try's end

    async def _upload(self) -> None:
        try:
            job = await self._already_stored() or await upload(
                self._session, self._arguments, self._key, self._show_upload
            )
        except Unavailable as error:
            raise _UploadBroke(str(error), retry_after=error.retry_after) from error
        self.job_id, self.stored = job.id, True
        self._show_upload(self._size)
        self._display.say(f"Uploaded as job {job.id}")

    async def _already_stored(self) -> Job | None:
        """The job, where the try before stored everything and only its answer was lost."""
        job = await look_up(self._session, self._key) if self.job_id else None
        return job if job and job.upload.state == "stored" else None

    async def _follow(self) -> End:
        self.reading = Reading()
        job = await find(self._session, self._key)
        self.job_id = job.id
        return await follow(self._session, job.id, self.reading, self._display)

    def _show_upload(self, sent: int) -> None:
        self._display.uploaded(sent, self._size)


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
