"""Everything that a SageMaker endpoint may do instead of answering, and when a plan does which."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from aiohttp import web

from services.dev.sagemaker_runtime import refusal
from services.dev.stand_in_endpoint import Failing, Fault

NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress"
)
NO_TEXT = b'{"text": "", "language": "en", "segments": []}'
HALF_AN_ANSWER = b'{"text": "half of a sen'


def refused(
    error: str, status: int, message: str = "", *, original: int | None = None, said: bytes = b""
) -> Fault:
    """A refusal in the form of SageMaker Runtime."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return refusal(error, status, message, original=original, said=said)

    return answer


def hanging(seconds: float) -> Fault:
    """No answer for so long, and then that of an instance that ended meanwhile."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return refusal("InternalFailure", 500, "gone")

    return answer


async def throttled(_request: web.Request) -> web.StreamResponse:
    """As SageMaker does it: HTTP 400, and a message of null."""
    return web.json_response(
        {"message": None}, status=400, headers={"x-amzn-ErrorType": "ThrottlingException"}
    )


async def gateway_page(_request: web.Request) -> web.StreamResponse:
    """What a load balancer says in an error's place."""
    return web.Response(status=502, body=b"<html>Bad Gateway</html>", content_type="text/html")


async def reset(request: web.Request) -> web.StreamResponse:
    """The connection breaks before any answer."""
    _cut_off(request)
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    """Half of the bytes that were announced, and then the connection breaks."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(HALF_AN_ANSWER)
    _cut_off(request)
    return response


def saying(body: bytes) -> Fault:
    """200, with this body."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return answer


PASSING: Mapping[str, Fault] = {
    "ThrottlingException": throttled,
    "TooManyRequestsException": refused("TooManyRequestsException", 429, "slow down"),
    "ServiceUnavailable": refused("ServiceUnavailable", 503, "try again"),
    "InternalFailure": refused("InternalFailure", 500, "unknown"),
    "InternalDependencyException": refused("InternalDependencyException", 530, "a dependency failed"),
    "HTML 502": gateway_page,
    "container 429": refused("ModelError", 424, "busy", original=429, said=b"busy"),
    "container 503": refused("ModelError", 424, "busy", original=503, said=b"busy"),
    "connection reset": reset,
    "truncated body": truncated,
}
"""None of these counts against the chunk."""
COLD: Mapping[str, Fault] = {
    "ModelNotReadyException": refused("ModelNotReadyException", 429, "not ready for inference requests"),
    "no capacity": refused("ValidationError", 400, NO_CAPACITY),
    "not InService": refused("ValidationError", 400, "Endpoint whisper-endpoint is not InService"),
}
MODEL: Mapping[str, Fault] = {
    "container 500": refused("ModelError", 424, "failed", original=500, said=b"CUDA out of memory"),
    "container gone": refused("ModelError", 424, "failed", original=0),
    "empty body": saying(b""),
    "half an answer": saying(HALF_AN_ANSWER),
    "wrong JSON": saying(b'{"transcription": ["something", "else"]}'),
    "HTML 200": saying(b"<html>hello</html>"),
}
"""After MODEL_ATTEMPTS of these the chunk becomes a gap."""
ALL = {**PASSING, **COLD, **MODEL}


class Plan:
    """Whether a call fails, and how; what was done is counted by name."""

    def __init__(self) -> None:
        self.given: Counter[str] = Counter()

    def _given(self, name: str, fault: Fault) -> Fault:
        self.given[name] += 1
        return fault

    def one_after_the_other(self, faults: Mapping[str, Fault]) -> Failing:
        """The first call fails in the first way, the second in the second, and so on."""
        ways = list(faults.items())
        return lambda call: self._given(*ways[call]) if call < len(ways) else None

    def share_of(self, share: float, faults: Mapping[str, Fault], seed: int) -> Failing:
        """A share of all calls, each at random and in a random way."""
        chance, ways = random.Random(seed), list(faults.items())
        return lambda _call: self._given(*chance.choice(ways)) if chance.random() < share else None

    def all_for(self, seconds: float, faults: Mapping[str, Fault], seed: int) -> Failing:
        """Every call for so long from now."""
        chance, ways, until = random.Random(seed), list(faults.items()), time.monotonic() + seconds
        return lambda _call: self._given(*chance.choice(ways)) if time.monotonic() < until else None


def only(names: Sequence[str]) -> dict[str, Fault]:
    """Some of them."""
    return {name: ALL[name] for name in names}


def _cut_off(request: web.Request) -> None:
    assert isinstance(request.transport, asyncio.Transport)
    request.transport.abort()
