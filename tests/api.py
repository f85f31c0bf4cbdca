"""A plain client of the HTTP API for end-to-end tests: what curl would do."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec


class Event(msgspec.Struct, frozen=True):
    """One server-sent event."""

    id: int | None
    name: str
    data: dict[str, Any]


class Api:
    """One logged-in user."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def submit(
        self, path: Path, *, key: str | None = None, **fields: str
    ) -> tuple[int, dict[str, Any]]:
        """POST /v1/jobs with the options before the file; status and body."""
        form = aiohttp.FormData()
        for name, value in (fields or {"skip_silence": "true"}).items():
            form.add_field(name, value)
        with path.open("rb") as file:
            form.add_field("file", file, filename=path.name)
            headers = {"Idempotency-Key": key} if key else {}
            async with self.session.post("/v1/jobs", data=form, headers=headers) as answer:
                return answer.status, await answer.json()

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        async with self.session.get(path, params=query) as answer:
            kind = answer.content_type
            return answer.status, await answer.json() if kind == "application/json" else await answer.text()

    async def job(self, job: str) -> dict[str, Any]:
        status, body = await self.get(f"/v1/jobs/{job}")
        assert status == 200, body
        return dict(body)

    async def find(self, key: str) -> str:
        """The id of the job that is being uploaded under this key, as soon as it exists."""
        async with asyncio.timeout(20):
            while True:
                _, body = await self.get("/v1/jobs", idempotency_key=key)
                if body["jobs"]:
                    return str(body["jobs"][0]["id"])
                await asyncio.sleep(0.05)

    async def events(self, job: str, after: int | None = None) -> AsyncIterator[Event]:
        """The job's events until the stream closes."""
        headers = {"Last-Event-ID": str(after)} if after is not None else {}
        async with self.session.get(f"/v1/jobs/{job}/events", headers=headers) as answer:
            assert answer.status in (200, 204), await answer.text()
            async for event in parsed(answer.content):
                yield event

    async def finished(self, job: str, seconds: float = 120) -> list[Event]:
        """All stored events of a job, reconnecting as a browser would, until its end."""
        seen: list[Event] = []
        async with asyncio.timeout(seconds):
            while not seen or seen[-1].name != "end":
                after = seen[-1].id if seen else None
                with contextlib.suppress(aiohttp.ClientError):
                    async for event in self.events(job, after):
                        if event.id is not None:
                            seen.append(event)
                if not seen or seen[-1].name != "end":
                    await asyncio.sleep(0.2)
        return seen

    async def text(self, job: str) -> str:
        status, body = await self.get(f"/v1/jobs/{job}/transcript", format="text")
        assert status == 200, body
        return str(body)


async def parsed(lines: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """Server-sent events from their lines (HTML standard, section 9.2)."""
    fields: dict[str, str] = {}
    async for raw in lines:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Event(number, fields.get("event", "message"), msgspec.json.decode(fields["data"]))
            fields = {}
        else:
            fields = {}


@contextlib.asynccontextmanager
async def logged_in(url: str, username: str, password: str) -> AsyncIterator[Api]:
    """A client with a bearer token."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with aiohttp.ClientSession(url, timeout=timeout) as session:
        credentials: Mapping[str, str] = {"username": username, "password": password}
        async with session.post("/login", json=credentials) as answer:
            assert answer.status == 200, await answer.text()
            token = (await answer.json())["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        yield Api(session)
