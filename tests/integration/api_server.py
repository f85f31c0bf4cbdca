"""A stand-in server that speaks docs/api.md and misbehaves as a test tells it."""

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web

JOB_ID = "mfrggzdfmztwq2lknnwg23tpob"
FIRST_BYTES = 64 * 1024
WAIT_SECONDS = 20.0

Event = tuple[str, dict[str, object]]


def cut(chunk: int) -> Event:
    return "cut", {"chunk": chunk, "start": chunk * 10.0, "end": chunk * 10.0 + 10, "skipped": []}


def text(chunk: int, words: str) -> Event:
    return "text", {"chunk": chunk, "start": chunk * 10.0, "end": chunk * 10.0 + 10, "text": words}


def gap(chunk: int, message: str) -> Event:
    return "gap", {**cut(chunk)[1], "error": {"code": "model", "message": message}}


def end(status: str = "completed", **more: object) -> Event:
    return "end", {"status": status, "duration": 20.0, "chunks": 2, "error": None, "notice": None, **more}


@dataclass
class StandIn:
    """What the server does, set by a test, and what it saw."""

    events: list[Event] = field(default_factory=lambda: [cut(0), text(0, "one"), text(1, "two"), end()])
    transcript: bytes = b"one two\n"
    refusals: list[web.Response] = field(default_factory=list)
    """Answers to the next uploads instead of taking them."""
    broken_uploads: int = 0
    """So many uploads are cut off after their first bytes."""
    broken_streams: int = 0
    """So many event streams break after one stored event."""
    silent_end: bool = False
    """The last event never comes."""
    gate: asyncio.Event | None = None
    """An upload is read to its end only once this is set."""
    token_seconds: int = 900
    refresh_works: bool = True

    retries: int = 0
    logins: int = 0
    refreshes: int = 0
    valid: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    received: bytes = b""
    resumed_after: list[str | None] = field(default_factory=list)
    upload_state: str = "missing"
    reader: asyncio.Event = field(default_factory=asyncio.Event)
    stored: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/login", self.login),
                web.post("/v1/auth/refresh", self.refresh),
                web.post("/v1/jobs", self.upload),
                web.get("/v1/jobs", self.find),
                web.post("/v1/jobs/{id}/retry", self.retry),
                web.get("/v1/jobs/{id}/events", self.stream),
                web.get("/v1/jobs/{id}/transcript", self.read),
            ]
        )
        return app

    async def login(self, request: web.Request) -> web.Response:
        if (await request.json()) != {"username": "ann", "password": "secret"}:
            return refusal(401, "unauthorized", "The user name or the password is wrong.")
        self.logins += 1
        return self.tokens()

    async def refresh(self, request: web.Request) -> web.Response:
        if not self.refresh_works or (await request.json())["refresh_token"] != "refresh":
            return refusal(401, "unauthorized", "This session was ended.")
        self.refreshes += 1
        return self.tokens()

    def tokens(self) -> web.Response:
        token = f"token-{self.logins}-{self.refreshes}"
        self.valid.add(token)
        return web.json_response(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": self.token_seconds,
                "refresh_token": "refresh",
                "refresh_expires_in": 604_800,
            }
        )

    def denied(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in self.valid:
            return None
        return refusal(401, "unauthorized", "Log in first.")

    async def upload(self, request: web.Request) -> web.StreamResponse:
        if denied := self.denied(request):
            return denied
        self.keys.append(request.headers["Idempotency-Key"])
        if self.refusals:
            return self.refusals.pop(0)
        self.fields, self.received = [], b""
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name != "file":
                self.fields.append((part.name or "", await part.text()))
                continue
            self.received = bytes(await part.read_chunk(FIRST_BYTES))
            self.upload_state = "receiving"
            if self.broken_uploads:
                self.broken_uploads -= 1
                self.upload_state = "interrupted"
                cut_off(request)
                return web.Response()
            if self.gate:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self.gate.wait()
            self.received += await part.read()
        self.upload_state = "stored"
        self.stored.set()
        return web.json_response(self.job(), status=201)

    async def find(self, request: web.Request) -> web.Response:
        if denied := self.denied(request):
            return denied
        mine = self.upload_state != "missing" and request.query["idempotency_key"] in self.keys
        return web.json_response({"jobs": [self.job()] if mine else [], "next": None})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if denied := self.denied(request):
            return denied
        self.reader.set()
        last = request.headers.get("Last-Event-ID")
        self.resumed_after.append(last)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(message(None, ("job", self.job())))
        for number in range(int(last or 0), len(self.events)):
            if self.events[number][0] == "end":
                if self.events[number][1]["status"] == "completed":
                    await self.stored.wait()
                if self.silent_end:
                    await asyncio.sleep(WAIT_SECONDS)
            await response.write(message(number + 1, self.events[number]))
            if self.broken_streams:
                self.broken_streams -= 1
                cut_off(request)
                break
        return response

    async def retry(self, request: web.Request) -> web.Response:
        if denied := self.denied(request):
            return denied
        self.retries += 1
        self.stored.set()
        return self.refusals.pop(0) if self.refusals else web.json_response(self.job(), status=202)

    async def read(self, request: web.Request) -> web.Response:
        return self.denied(request) or web.Response(
            body=request.query["format"].encode() + b": " + self.transcript
        )

    def job(self) -> dict[str, object]:
        return {
            "id": JOB_ID,
            "status": "running",
            "upload": {"state": self.upload_state, "bytes": len(self.received), "total_bytes": None},
            "duration": None,
            "attempt": self.retries,
            "progress": {"percent": 0, "total_seconds": 20.0},
        }


def cut_off(request: web.Request) -> None:
    assert isinstance(request.transport, asyncio.Transport)
    request.transport.abort()


def refusal(status: int, code: str, text: str, **headers: str) -> web.Response:
    body = {"error": {"code": code, "message": text}}
    return web.json_response(body, status=status, headers=headers)


def message(number: int | None, event: Event) -> bytes:
    head = f"id: {number}\n" if number is not None else ": a comment\n\n"
    return f"{head}event: {event[0]}\ndata: {json.dumps(event[1])}\n\n".encode()
