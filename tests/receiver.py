"""A receiver of webhooks on loopback: it answers as told, and checks signatures as docs/webhooks.md says."""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from aiohttp import web

from services.common.service import site
from services.dev.processes import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Received(msgspec.Struct, frozen=True):
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, object]:
        return dict(msgspec.json.decode(self.body))

    def signed_by(self, secret: str) -> bool:
        signed = self.headers["Whisper-Webhook-Timestamp"].encode() + b"." + self.body
        expected = f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
        given = self.headers["Whisper-Webhook-Signature"].split(",")
        return any(hmac.compare_digest(expected, one) for one in given)


class Receiver:
    """Notes every request, then answers with the next of `answers`, at last always with the last one."""

    def __init__(self, url: str, answers: list[Handler]) -> None:
        self.url = url
        self.received: list[Received] = []
        self._answers = answers

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(dict(request.headers), await request.read()))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return await answer(request)

    async def until(self, count: int, seconds: float = 15.0) -> list[Received]:
        """What came, once it is so much."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:  # noqa: ASYNC110  # no event to await
                await asyncio.sleep(0.02)
        return self.received


def status(number: int, **headers: str) -> Handler:
    """Answers with this status."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=number, headers=named)

    return answer


async def hanging(_request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def endless(request: web.Request) -> web.StreamResponse:
    """Takes the delivery, and talks on for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 16_384)
    return response


@contextlib.asynccontextmanager
async def receiving(*answers: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver; without answers it takes everything."""
    port = port or free_port()
    receiver = Receiver(f"http://{host}:{port}/hook", list(answers) or [status(204)])
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.receive)
    async with site(app, host, port, shutdown_seconds=0.1):
        yield receiver
