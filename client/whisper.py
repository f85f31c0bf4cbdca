"""The client for programs with an event loop; `client.blocking` has the same for those without."""

import os
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from client import credentials
from client.access_tokens import AccessTokens
from client.answers import End, Job, JobEvent, Jobs, Me
from client.errors import ClientError
from client.following import completed, events, follow, transcript
from client.hotword_lists import HotwordLists
from client.observer import Observer
from client.options import Options
from client.reading import Reading
from client.retrying import patiently
from client.session import Session
from client.transcribing import Transcribing
from client.transcripts import Format, Transcript
from client.uploading import Recording

PATIENCE_SECONDS = 30.0
PAGE_JOBS = 200
DEFAULTS = Options()

T = TypeVar("T")
FilePath = str | os.PathLike[str]


class AsyncWhisper:
    """One user's access to one server. Use it as a context, or `close` it.

    What is not given is taken from WHISPER_API_URL and from WHISPER_TOKEN, or WHISPER_USERNAME and
    WHISPER_PASSWORD. Short requests are tried again for `patience_seconds` while the server is away;
    uploads and events have more patience, and go on where they broke off.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        who = credentials.chosen(token, username, password)
        if who is None:
            raise ClientError("no credentials: give a token, or a username and a password")
        self.url = credentials.server(url)
        self._who = who
        self._patience_seconds = patience_seconds
        self._session: Session | None = None
        self._http: aiohttp.ClientSession | None = None
        self.hotwords = HotwordLists(self._connected, patience_seconds)
        self.tokens = AccessTokens(self._connected, patience_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections to the server."""
        if self._http is not None:
            await self._http.close()
        self._session = self._http = None

    async def login(self) -> None:
        """See at once whether the server is there and lets us in; not needed before anything else."""
        await self._connected().login()

    async def me(self) -> Me:
        """Who the server says we are."""
        return await self._again(lambda: self._connected().get("/v1/me", Me))

    def transcribing(
        self,
        path: FilePath,
        options: Options = DEFAULTS,
        *,
        key: str | None = None,
        known: bool = False,
        observer: Observer | None = None,
    ) -> Transcribing:
        """A recording on its way, to be run by the caller, who sees in it how far it has come."""
        recording = Recording(Path(path), options, key or str(uuid.uuid4()), known)
        return Transcribing(self._connected(), recording, observer or Observer())

    async def transcribe(
        self,
        path: FilePath,
        options: Options = DEFAULTS,
        *,
        key: str | None = None,
        observer: Observer | None = None,
    ) -> Transcript:
        """Upload a recording, wait for its text, and return it. Raises `JobEnded` where there is none.

        Stretches without text are in its `gaps`. With the same `key` (a UUID) it is the same job.
        """
        job = await self.transcribing(path, options, key=key, observer=observer).run()
        return await self.transcript(job)

    async def submit(
        self,
        path: FilePath,
        options: Options = DEFAULTS,
        *,
        key: str | None = None,
        observer: Observer | None = None,
    ) -> Job:
        """Upload a recording and leave it to the server."""
        return await self.transcribing(path, options, key=key, observer=observer).submit()

    async def job(self, job_id: str) -> Job:
        """How a job stands."""
        return await self._again(lambda: self._connected().get(_path(job_id), Job))

    async def jobs(self, *, page_size: int = PAGE_JOBS) -> AsyncGenerator[Job, None]:
        """Every job, newest first, fetched page by page as far as it is iterated."""
        page = await self._page(limit=str(page_size))
        while True:
            for job in page.jobs:
                yield job
            if page.next is None:
                return
            page = await self._page(limit=str(page_size), after=page.next)

    async def events(self, job_id: str, after: str | None = None) -> AsyncGenerator[JobEvent, None]:
        """What happened to a job, and what happens, up to its end; `after` is the last `event_id` seen."""
        async for event in events(self._connected(), quote(job_id, safe=""), after):
            yield event

    async def wait(self, job_id: str, *, observer: Observer | None = None) -> End:
        """Wait for a job's end; raises `JobEnded` where it was not completed."""
        name = quote(job_id, safe="")
        end = await follow(self._connected(), name, Reading(), observer or Observer())
        completed(job_id, end)
        return end

    async def transcript(self, job_id: str) -> Transcript:
        """A job's words so far."""
        body = await transcript(self._connected(), quote(job_id, safe=""), "json")
        try:
            return msgspec.json.decode(body, type=Transcript)
        except msgspec.DecodeError as error:
            raise ClientError(f"the server sent a transcript that cannot be read: {error}") from error

    async def transcript_as(self, job_id: str, kind: Format) -> str:
        """A job's words so far as a text, as subtitles, or as the server's JSON."""
        return (await transcript(self._connected(), quote(job_id, safe=""), kind)).decode()

    async def retry(self, job_id: str) -> Job:
        """Have the stretches without text tried again; `Refused` with code `no_gaps` where none are."""
        return await self._again(lambda: self._connected().post(f"{_path(job_id)}/retry", Job))

    async def cancel(self, job_id: str) -> Job:
        """End a job that has not ended; it keeps the text that it has."""
        return await self._again(lambda: self._connected().post(f"{_path(job_id)}/cancel", Job))

    async def delete(self, job_id: str) -> None:
        """Cancel a job, and erase its recording, its text and itself."""
        await self._again(lambda: self._connected().send("DELETE", _path(job_id)))

    async def _page(self, **query: str) -> Jobs:
        return await self._again(lambda: self._connected().get("/v1/jobs", Jobs, **query))

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        return await patiently(work, self._patience_seconds)

    def _connected(self) -> Session:
        """The session; made on first use, because it belongs to the loop that runs then."""
        if self._session is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            self._session = Session(self._http, self.url, self._who)
        return self._session


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
