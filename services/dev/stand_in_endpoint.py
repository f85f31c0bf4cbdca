"""A SageMaker Runtime without a model: every chunk takes the same time, and its text is a digest of it.

For benchmarks and fault tests, where hours of audio must pass in minutes and every text must be
the same however often a chunk is sent. `failing` lets a test answer in the endpoint's place.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from aiohttp import web

from services.common.service import site
from services.contracts.inference import AUDIO_PART, InferenceResult, Segment

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""What happens to a call instead of an answer: it may hang, break off or lie."""
Failing = Callable[[int], web.StreamResponse | Fault | None]
"""Given the number of the call (from 0), an answer or a fault to give instead of a transcript, or None."""


class StandIn:
    """How the stand-in answers, and what it has seen."""

    def __init__(
        self,
        *,
        seconds: float,
        capacity: int,
        failing: Failing = lambda _call: None,
        characters: int = 16,
    ) -> None:
        """`characters` is the length of every text."""
        self.seconds = seconds
        self.characters = characters
        self.failing = failing
        self.calls = 0
        self.finished = 0
        self.running = 0
        self.most_running = 0
        self._places = asyncio.Semaphore(capacity)

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        """InvokeEndpoint: wait for a place, take the fixed time, answer the digest."""
        audio = await _audio(request)
        call, self.calls = self.calls, self.calls + 1
        refused = self.failing(call)
        if refused is not None:
            return refused if isinstance(refused, web.StreamResponse) else await refused(request)
        async with self._places:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            try:
                await asyncio.sleep(self.seconds)
            finally:
                self.running -= 1
        self.finished += 1
        text = self._text(hashlib.sha256(audio).hexdigest())
        result = InferenceResult(text=text, language="en", segments=(Segment(start=0.0, end=1.0, text=text),))
        return web.Response(body=msgspec.json.encode(result), content_type="application/json")

    def _text(self, digest: str) -> str:
        return (digest * (self.characters // len(digest) + 1))[: self.characters]


async def _audio(request: web.Request) -> bytes:
    async for part in await request.multipart():
        if getattr(part, "name", None) == AUDIO_PART:
            return bytes(await part.read())  # type: ignore[union-attr]  # a part with a name is no nested form
    return b""


@contextlib.asynccontextmanager
async def stand_in(endpoint: StandIn, port: int) -> AsyncIterator[str]:
    """Serve the stand-in; yields the URL to use as AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME."""
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.add_routes([web.post("/endpoints/{name}/invocations", endpoint.invoke)])
    async with site(app, "127.0.0.1", port, shutdown_seconds=1.0):
        yield f"http://127.0.0.1:{port}"
