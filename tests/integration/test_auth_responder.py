"""Which questions auth answers: none that came before its connection broke."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import msgspec
from nats.aio.msg import Msg

from services.auth.responder import Responder
from services.common.bus import Bus
from services.contracts.claims import AuthReply, AuthRequest, Refused, Revoke, Revoked
from services.contracts.topology import AUTH_REQUESTS
from services.dev.nats_server import NatsServer
from tests.conftest import ConnectBus

ANSWERS = "answers.of.auth"


class Slow:
    """Answers `first` when told, and everything else at once with the question's own token."""

    def __init__(self) -> None:
        self.asked, self.go, self.answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(self, request: AuthRequest) -> AuthReply:
        assert isinstance(request, Revoke)
        if request.token == "first":
            self.asked.set()
            await self.go.wait()
            self.answered.set()
        return Refused(code=request.token, message="as asked")


@contextlib.asynccontextmanager
async def responding(bus: Bus, slow: Slow) -> AsyncIterator[Responder]:
    responder, stop = Responder(bus, slow.answer), asyncio.Event()
    await responder.subscribe()
    running = asyncio.create_task(responder.run(stop))
    try:
        yield responder
    finally:
        stop.set()
        await running


class Asker:
    """Asks, and hears every answer in the order in which it comes."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client
        self.answers: asyncio.Queue[str] = asyncio.Queue()

    async def listen(self) -> None:
        await self._client.subscribe(ANSWERS, cb=self._hear)
        await self._client.flush()

    async def ask(self, token: str) -> None:
        question = msgspec.json.encode(Revoke(token=token))
        await self._client.publish(AUTH_REQUESTS, question, reply=ANSWERS)
        await self._client.flush()

    async def _hear(self, message: Msg) -> None:
        reply = msgspec.json.decode(message.data, type=Refused | Revoked)
        self.answers.put_nowait(reply.code if isinstance(reply, Refused) else "revoked")


async def again(*buses: Bus) -> None:
    """Until all of them are connected again."""
    async with asyncio.timeout(20):
        while not all(bus.client.is_connected and bus.breaks for bus in buses):  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.02)


async def test_a_question_from_before_a_break_gets_no_answer(
    broker: NatsServer, bus: Bus, connect_bus: ConnectBus
) -> None:
    """Whoever asked has asked again; the server forbids to answer what an earlier connection heard."""
    slow = Slow()
    async with connect_bus("gateway") as other, responding(bus, slow), asyncio.timeout(60):
        asker = Asker(other)
        await asker.listen()
        await asker.ask("first")
        await slow.asked.wait()
        await broker.kill()
        await broker.start()
        await again(bus, other)

        slow.go.set()
        await slow.answered.wait()
        await asker.ask("second")

        assert await asker.answers.get() == "second"


async def test_a_slow_answer_over_one_connection_is_given(bus: Bus, connect_bus: ConnectBus) -> None:
    """So that the silence above is that of the break."""
    slow = Slow()
    async with connect_bus("gateway") as other, responding(bus, slow), asyncio.timeout(20):
        asker = Asker(other)
        await asker.listen()
        await asker.ask("first")
        await slow.asked.wait()
        await asker.ask("second")
        assert await asker.answers.get() == "second"
        slow.go.set()
        assert await asker.answers.get() == "first"


async def test_a_broker_that_dies_before_it_has_heard_of_us_hears_of_us_again(
    broker: NatsServer, bus: Bus, connect_bus: ConnectBus
) -> None:
    """It is frozen first, so that it takes the subscription with it unread."""
    async with connect_bus("gateway") as other, asyncio.timeout(60):
        subscribed = await _asking_while_frozen(broker, bus, other)
        await broker.kill()
        await broker.start()
        assert await subscribed == "second"


async def test_a_broker_that_is_slow_to_hear_of_us_costs_no_connection(
    broker: NatsServer, bus: Bus, connect_bus: ConnectBus
) -> None:
    async with connect_bus("gateway") as other, asyncio.timeout(60):
        subscribed = await _asking_while_frozen(broker, bus, other)
        await asyncio.sleep(3)
        assert broker.process is not None
        broker.process.send_signal(signal.SIGCONT)
        assert await subscribed == "second"
    assert bus.breaks == 0


async def _asking_while_frozen(broker: NatsServer, bus: Bus, other: Bus) -> "asyncio.Task[str]":
    """Freeze the broker, and have it asked to know a subscription."""
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)
    subscribed = asyncio.create_task(_answering(bus, other))
    await asyncio.sleep(0)  # it has asked, and waits
    return subscribed


async def _answering(bus: Bus, other: Bus) -> str:
    async with responding(bus, Slow()):
        asker = Asker(other)
        await asker.listen()
        await asker.ask("second")
        return await asker.answers.get()
