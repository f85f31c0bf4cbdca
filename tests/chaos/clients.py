"""Programs of users, as they should be written: each knows every gateway and tries again at the next."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from client.answers import Jobs
from client.credentials import Password
from client.errors import Refused, Unavailable
from client.retrying import Backoff
from client.session import Body, Session
from tests.api import Event, parsed
from tests.chaos.corpus import Recording

PATIENCE_SECONDS = 300.0
"""Spent waiting between tries before a client gives up."""
PAUSE_SECONDS = 0.3
UPLOAD = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=90)
STREAM = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
PIECE_BYTES = 64 * 1024

T = TypeVar("T")


class Client:
    """One user's program: a session at each gateway, and the one in use."""

    def __init__(
        self, http: aiohttp.ClientSession, urls: tuple[str, ...], user: tuple[str, str], chance: random.Random
    ) -> None:
        self._sessions = [Session(http, url, Password(*user)) for url in urls]
        self._turn = chance.randrange(len(urls))
        self.troubles: list[Unavailable] = []
        """What made it try again."""

    @property
    def session(self) -> Session:
        """At the gateway in use."""
        return self._sessions[self._turn % len(self._sessions)]

    def move(self, cause: Unavailable) -> None:
        """Go to the next gateway."""
        self.troubles.append(cause)
        self._turn += 1

    async def again(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do `work` at one gateway after the other until one can; what is refused for good is raised."""
        retry = Backoff(PATIENCE_SECONDS)
        while True:
            try:
                return await work(self.session)
            except Unavailable as error:
                self.move(error)
                await retry.wait(error)

    async def json(self, path: str, **query: str) -> dict[str, Any]:
        """The answer to a GET."""
        found: dict[str, Any] = await self.again(lambda session: session.get(path, dict[str, Any], **query))
        return found

    async def find(self, key: str) -> str:
        """The id of the job that is being uploaded under this key, as soon as it exists."""
        while True:
            found = await self.again(lambda session: session.get("/v1/jobs", Jobs, idempotency_key=key))
            if found.jobs:
                return found.jobs[0].id
            await asyncio.sleep(PAUSE_SECONDS)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """How and when one recording is sent."""

    recording: Recording
    key: str
    at: float
    """Seconds from the beginning of the run."""
    seconds: float
    """What the sending takes at least."""
    form: bool
    """As a form with its fields after the file, without its size; else as a bare body."""
    looks_first: bool
    """After a break, ask whether the job is stored before sending all of it again."""


def submissions(recordings: tuple[Recording, ...], seed: int, spread_seconds: float) -> list[Submission]:
    """Every recording once, spread at random."""
    chance = random.Random(f"submissions {seed}")
    return [
        Submission(
            recording=one,
            key=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            at=chance.uniform(0, spread_seconds),
            seconds=chance.choice((0, 0, chance.uniform(0, spread_seconds / 3))),
            form=chance.random() < 0.3,
            looks_first=chance.random() < 0.5,
        )
        for one in recordings
    ]


class Submitter:
    """Sends one recording until the server says that it has it."""

    def __init__(self, client: Client, wanted: Submission, path: Path) -> None:
        self._client = client
        self._wanted = wanted
        self._path = path
        self.sendings = 0
        """How often it began to send the recording."""
        self.job: str | None = None
        """The id the server answered with."""

    async def run(self) -> None:
        """Come back once the recording is accepted."""
        self.job = await self._client.again(self._sent)

    async def _sent(self, session: Session) -> str:
        if self.sendings and self._wanted.looks_first:
            found = await session.get("/v1/jobs", Jobs, idempotency_key=self._wanted.key)
            if found.jobs and found.jobs[0].upload.state == "stored":
                return found.jobs[0].id
        headers = {"Idempotency-Key": self._wanted.key}
        if not self._wanted.form:
            headers |= {"Content-Type": "audio/mpeg", "Content-Length": str(self._path.stat().st_size)}
        query = {} if self._wanted.form else self._options
        body: Any = self._form if self._wanted.form else self._pieces
        sending = session.request(
            "POST", "/v1/jobs", query=query, headers=headers, body=_typed(body), timeout=UPLOAD
        )
        async with sending as answer:
            return str(msgspec.json.decode(await answer.read())["id"])

    def _form(self) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("file", self._pieces(), filename="talk", content_type="audio/mpeg")
        for name, value in self._options.items():
            form.add_field(name, value)
        return form

    @property
    def _options(self) -> dict[str, str]:
        return {"name": self._wanted.recording.name, "channels": self._wanted.recording.channels}

    async def _pieces(self) -> AsyncIterator[bytes]:
        self.sendings += 1
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                yield data
                await asyncio.sleep(self._wanted.seconds * len(data) / size)


class Reader:
    """Follows one job's events to its end, coming back after every break with the last id it saw."""

    def __init__(self, client: Client, key: str, *, leaves_after: int | None = None) -> None:
        """`leaves_after` makes it hang up itself after so many events."""
        self._client = client
        self._key = key
        self._leaves_after = leaves_after
        self.seen: list[Event] = []
        """Stored events, through all connections."""
        self.connections = 0

    @property
    def reconnects(self) -> int:
        """How often it had to come back."""
        return max(0, self.connections - 1)

    async def run(self) -> None:
        """Read until the end; that of an upload that broke off is not it, as the upload begins anew."""
        job = await self._client.find(self._key)
        while not self._over():
            try:
                await self._read(job)
            except Unavailable as error:
                self._client.move(error)
            except Refused as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise  # an upload that found no room at all is forgotten until it comes again
            if not self._over():
                await asyncio.sleep(PAUSE_SECONDS)

    def _opened(self) -> None:
        self.connections += 1

    def _over(self) -> bool:
        return bool(self.seen) and is_last(self.seen[-1])

    async def _read(self, job: str) -> None:
        left = self._leaves_after
        after = self.seen[-1].id if self.seen else None
        async with contextlib.aclosing(events(self._client.session, job, after, self._opened)) as stream:
            async for event in stream:
                self.seen.append(event)
                left = None if left is None else left - 1
                if left == 0 or self._over():
                    return


def is_last(event: Event) -> bool:
    """Whether this ends a job whose upload is whole."""
    return event.name == "end" and event.data["status"] != "interrupted"


async def events(
    session: Session, job: str, after: int | None, opened: Callable[[], None] = lambda: None
) -> AsyncGenerator[Event, None]:
    """Stored events after the one with this id, until the stream closes or breaks; says when it is open."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    path = f"/v1/jobs/{job}/events"
    async with session.request("GET", path, headers=headers, timeout=STREAM) as answer:
        opened()
        async for event in parsed(answer.content):
            if event.id is not None:
                yield event


async def replayed(client: Client, job: str) -> list[Event]:
    """Every stored event of a job that has ended, read in one go."""

    async def read(session: Session) -> list[Event]:
        return [event async for event in events(session, job, None)]

    return await client.again(read)


async def transcript(client: Client, job: str) -> bytes:
    """What the user gets, as JSON and as subtitles, without the id, which differs between two systems."""
    body = await client.json(f"/v1/jobs/{job}/transcript", format="json")
    del body["id"]
    path = f"/v1/jobs/{job}/transcript"
    subtitles = await client.again(lambda session: session.get_bytes(path, format="vtt"))
    return msgspec.json.encode(body, order="sorted") + b"\n" + subtitles


def _typed(body: Callable[[], aiohttp.FormData | AsyncIterable[bytes]]) -> Body:
    return body  # type: ignore[return-value]  # aiohttp takes pieces as well as a form
