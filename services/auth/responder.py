"""Takes requests from NATS and answers them, a bounded number at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.common.bus import Bus
from services.contracts.claims import AuthReply, AuthRequest, Refused
from services.contracts.topology import AUTH_QUEUE, AUTH_REQUESTS, Stream

log = structlog.get_logger()

MAX_IN_HAND = 256
"""Requests at once: most wait for a password check, whose own queue is shorter."""
ANSWER_SECONDS = 15.0


class Responder:
    """Shares the requests with the other auth processes."""

    def __init__(self, bus: Bus, answer: Callable[[AuthRequest], Awaitable[AuthReply]]) -> None:
        self._bus = bus
        self._answer = answer
        self._group: asyncio.Future[asyncio.TaskGroup] = asyncio.get_running_loop().create_future()
        self._subscription: Subscription | None = None
        self._in_hand = 0

    async def subscribe(self) -> None:
        """Take part from now on; answers follow once `run` is under way. A process is not ready before."""
        client = self._bus.client
        self._subscription = await client.subscribe(AUTH_REQUESTS, queue=AUTH_QUEUE, cb=self._take)
        # The server answers in order, so it knows the subscription then. nats-py's own flush fails where the
        # connection breaks meanwhile, and its late answer would end the client's reading.
        await self._bus.now(Stream.TOKENS)

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until `stop`, then finish what is in hand."""
        async with asyncio.TaskGroup() as group:
            self._group.set_result(group)
            await stop.wait()
            if self._subscription is not None:
                with contextlib.suppress(nats.errors.Error):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it so

    async def _take(self, message: Msg) -> None:
        breaks = self._bus.breaks
        group = await asyncio.shield(self._group)
        if self._in_hand >= MAX_IN_HAND:
            await _respond(message, _busy())
            return
        self._in_hand += 1
        group.create_task(self._settle(message, breaks))

    async def _settle(self, message: Msg, breaks: int) -> None:
        """Answer, unless the connection broke since the question came."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reply = await self._answered(message.data)
        except TimeoutError:
            reply = _busy()
        except Exception:  # whatever broke is a bug, and must not end the others' requests
            log.exception("request_broke")
            reply = _busy()
        finally:
            self._in_hand -= 1
        if self._bus.breaks == breaks:  # else the server forbids the answer, and the question comes again
            await _respond(message, reply)

    async def _answered(self, data: bytes) -> AuthReply:
        try:
            request = msgspec.json.decode(data, type=AuthRequest)
        except msgspec.DecodeError:
            log.warning("request_unreadable", bytes=len(data))
            return Refused(code="bad_request", message="not a request that this service knows")
        return await self._answer(request)


async def _respond(message: Msg, reply: AuthReply) -> None:
    try:
        await message.respond(msgspec.json.encode(reply))
    except nats.errors.Error as error:
        log.info("answer_not_sent", error=str(error) or type(error).__name__)


def _busy() -> Refused:
    return Refused(code="unavailable", message="too busy to answer; try again in a moment", retry_after=2.0)
