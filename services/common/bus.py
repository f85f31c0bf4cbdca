"""The connection to NATS: facts stored and read with retries, and wake-ups that may be lost."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client import Counter

from services.common.complaints import Complaints, said, shown
from services.common.errors import BrokerUnavailable, Misconfigured, StorageFull
from services.common.link import Link
from services.common.nkey import check_seed
from services.common.refusals import SEQUENCE_NOT_FOUND, STREAM_FULL, WRONG_LAST_SEQUENCE, is_passing
from services.common.settings import ServiceSettings
from services.common.trust import client_for

log = structlog.get_logger()

FIRST_TRY_SECONDS = 2.0
"""A stream that lost its leader answers nobody: who asks again soon finds the next one soon."""
LONGEST_TRY_SECONDS = 8.0
"""Each further try waits longer, since a server under load is not helped by being asked more often."""
PING_SECONDS = 3.0
"""Two unanswered pings end a connection: a server that hangs, or a network that is cut, costs 9 s at most."""
FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""A broker that is killed comes back within seconds; a cluster that lost its leader within ten."""
FULL_RETRY_SECONDS = 30.0
REJOIN_SECONDS = 10.0
"""So long after a reconnect those who answer questions may not be connected again themselves."""

EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"

RETRIES = Counter("whisper_bus_retries_total", "Operations on NATS that had to be tried again")
RECONNECTS = Counter("whisper_bus_reconnects_total", "Times the connection to NATS was made again")

T = TypeVar("T")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its stream holds it."""

    subject: str
    sequence: int
    data: bytes
    headers: Mapping[str, str]

    @property
    def stored_at(self) -> float:
        """When it was stored by the broker's clock, as Unix time."""
        return datetime.fromisoformat(self.headers["Nats-Time-Stamp"]).timestamp()


class Bus:
    """One connection. Its methods retry through broker restarts and raise only our errors."""

    def __init__(self, client: Client, *, patience_seconds: float) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream(timeout=LONGEST_TRY_SECONDS)
        self._patience_seconds = patience_seconds
        self.breaks = 0
        """How often the connection broke: answers to what was asked before a break reach nobody."""
        self._rejoined_until = 0.0
        self._link = Link()
        self._missed: list[Callable[[], None]] = []

    async def create(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> bool:
        """Store the first message of this subject; False when it has one already."""
        return await self.replace(subject, data, expected=0, headers=headers) is not None

    async def replace(
        self, subject: str, data: bytes, *, expected: int, headers: Mapping[str, str] | None = None
    ) -> int | None:
        """Store a message if the subject's newest has sequence `expected`; its sequence, or None if not.

        A retry after a lost answer may find its own first try: callers treat None as "look again".
        """
        guarded = {**(headers or {}), EXPECTED_LAST: str(expected)}
        try:
            ack = await self._retried(lambda: self.jetstream.publish(subject, data, headers=guarded))
        except nats.js.errors.APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                return None
            if error.err_code in STREAM_FULL:
                raise StorageFull(
                    "the server has no disk left for this; delete earlier recordings, or try again later",
                    retry_after=FULL_RETRY_SECONDS,
                ) from error
            raise
        return ack.seq

    async def settled_up_to(self, queue: tuple[str, str]) -> int:
        """The sequence up to which a consumer (stream, durable) takes every message for settled."""
        info = await self._retried(lambda: self.jetstream.consumer_info(*queue))
        return info.ack_floor.stream_seq if info.ack_floor else 0

    async def last(self, stream: str, subject: str, *, by_leader: bool = False) -> Stored | None:
        """The newest message of one subject, as any replica knows it, or for certain from the leader.

        A replica that lags may answer with an older one, or with None for "not yet".
        """
        return await self._read(lambda: self.jetstream.get_msg(stream, subject=subject, direct=not by_leader))

    async def at(self, stream: str, sequence: int) -> Stored | None:
        """The message with this sequence, as the leader knows it."""
        return await self._read(lambda: self.jetstream.get_msg(stream, seq=sequence))

    async def remove(self, stream: str, sequence: int) -> None:
        """Erase one message; one that is gone already is no error."""

        async def erase() -> None:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await self.jetstream.get_msg(stream, seq=sequence)
                await self.jetstream.delete_msg(stream, sequence)

        try:
            await self._retried(erase)
        except nats.js.errors.APIError as error:
            if error.err_code != SEQUENCE_NOT_FOUND:  # somebody else was faster
                raise

    async def next(self, stream: str, subjects: str, after: int) -> Stored | None:
        """The first message of the matching subjects whose sequence is greater than `after`."""
        return await self._read(
            lambda: self.jetstream.get_msg(stream, seq=after + 1, subject=subjects, next=True, direct=True)
        )

    async def subjects(self, stream: str, matching: str) -> dict[str, int]:
        """The subjects of a stream that match, with how many messages each has."""
        info = await self._retried(lambda: self.jetstream.stream_info(stream, subjects_filter=matching))
        return dict(info.state.subjects or {})

    async def purge(self, stream: str, subjects: str, *, through: int | None = None) -> None:
        """Erase the messages of the matching subjects, or only those up to the sequence `through`."""
        before = None if through is None else through + 1
        await self._retried(lambda: self.jetstream.purge_stream(stream, seq=before, subject=subjects))

    async def usage(self, stream: str) -> tuple[int, int]:
        """The bytes that a stream holds, and its disk budget; 0 where it has none."""
        info = await self._retried(lambda: self.jetstream.stream_info(stream))
        return info.state.bytes, max(0, info.config.max_bytes or 0)

    async def request(self, subject: str, data: bytes, *, timeout_seconds: float) -> bytes:
        """Ask a service and wait for its answer; raises `BrokerUnavailable` when none comes.

        A question that a broken connection may have swallowed is asked again, so it must do no harm twice.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout_seconds

        async def ask() -> Msg:
            try:
                return await self.client.request(subject, data, timeout=max(0.1, give_up - loop.time()))
            except nats.errors.NoRespondersError as error:
                if loop.time() < self._rejoined_until:
                    raise
                raise BrokerUnavailable(f"nobody listens to {subject}", retry_after=2.0) from error

        reply = await self._retried(ask, patience_seconds=timeout_seconds, try_seconds=timeout_seconds)
        return reply.data

    async def now(self, stream: str) -> float:
        """What the clock of the broker shows, as Unix time: the one clock that all processes share.

        Stored messages carry its time, so ages are right whatever the clocks of other machines show.
        """

        async def ask() -> str:
            reply = await self.client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=LONGEST_TRY_SECONDS)
            info: dict[str, str] = msgspec.json.decode(reply.data)
            if "ts" not in info:  # an error instead, as from a cluster that has no leader yet
                raise nats.errors.NoRespondersError
            return info["ts"]

        return datetime.fromisoformat(await self._retried(ask)).timestamp()

    @contextlib.asynccontextmanager
    async def listening(
        self, subjects: Sequence[str], *, heard: Callable[[str], None], missed: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Call `heard` with the subject of each message, and `missed` when some may have been lost."""

        async def hear(message: Msg) -> None:
            heard(message.subject)

        self._missed.append(missed)
        subscriptions = [await self.client.subscribe(subject, cb=hear) for subject in subjects]
        try:
            yield
        finally:
            self._missed.remove(missed)
            for subscription in subscriptions:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    @contextlib.asynccontextmanager
    async def woken_by(self, *subjects: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when one of the subjects speaks, and after each reconnect."""
        event = asyncio.Event()
        async with self.listening(subjects, heard=lambda _subject: event.set(), missed=event.set):
            yield event

    async def _read(self, operation: Callable[[], Awaitable[object]]) -> Stored | None:
        try:
            raw = await self._retried(operation)
        except nats.js.errors.NotFoundError:
            return None
        return Stored(
            subject=raw.subject,  # type: ignore[attr-defined]  # nats-py's RawStreamMsg
            sequence=raw.seq,  # type: ignore[attr-defined]
            data=raw.data or b"",  # type: ignore[attr-defined]
            headers=raw.headers or {},  # type: ignore[attr-defined]
        )

    async def _retried(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        patience_seconds: float | None = None,
        try_seconds: float = FIRST_TRY_SECONDS,
    ) -> T:
        patience = self._patience_seconds if patience_seconds is None else patience_seconds
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                return await self._unless_lost(operation, try_seconds)
            except (nats.js.errors.APIError, nats.errors.MaxPayloadError) as error:
                if not is_passing(error):
                    raise
                cause: Exception = error
            except (nats.errors.Error, TimeoutError, OSError) as error:
                cause = error
            if self.client.is_closed or loop.time() + delay > give_up:
                raise BrokerUnavailable(
                    f"NATS did not take a request for {patience:.0f} s: {said(cause)}",
                    retry_after=5.0,
                ) from cause
            RETRIES.inc()
            pause = delay * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries
            back = await self._link.back_within(pause)
            delay = FIRST_DELAY_SECONDS if back else min(delay * 2, LONGEST_DELAY_SECONDS)
            try_seconds = max(try_seconds, min(try_seconds * 2, LONGEST_TRY_SECONDS))

    async def _unless_lost(self, operation: Callable[[], Awaitable[T]], try_seconds: float) -> T:
        """Fail as soon as the connection breaks: nats-py lets a request in flight wait out its time-out."""
        if self._link.broken:
            raise nats.errors.ConnectionReconnectingError
        work = asyncio.ensure_future(operation())
        either: set[asyncio.Future[Any]] = {work, self._link.lost}
        try:
            await asyncio.wait(either, timeout=try_seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise nats.errors.ConnectionReconnectingError if self._link.broken else TimeoutError
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            elif not work.cancelled():
                work.exception()  # counts as seen, where somebody cancelled us

    async def on_lost(self) -> None:
        """nats-py's callback for a broken connection."""
        if not self._link.broken:
            log.warning("broker_lost")
            self.breaks += 1
        self._link.breaks()

    async def on_reconnected(self) -> None:
        """nats-py's callback for a connection made again: whoever waits looks at the streams anew."""
        log.info("broker_reconnected")
        RECONNECTS.inc()
        self._link.mends()
        self._rejoined_until = asyncio.get_running_loop().time() + REJOIN_SECONDS
        for missed in self._missed:
            missed()


async def woken_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for a wake-up, but not longer: one may have been lost."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@contextlib.asynccontextmanager
async def connect(
    settings: ServiceSettings,
    name: str,
    minimum_server: tuple[int, int, int],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[Bus]:
    """Connect, waiting for a server that is not there yet; refuse one older than `minimum_server`."""
    check_seed(settings.nats_nkey_seed)
    client = client_for(settings)
    bus: list[Bus] = []
    complaints = Complaints(shown(settings.nats_url))

    async def lost() -> None:
        for one in bus:
            await one.on_lost()

    async def found_again() -> None:
        for one in bus:
            await one.on_reconnected()

    await client.connect(
        servers=settings.nats_url.split(","),
        name=name,
        nkeys_seed_str=settings.nats_nkey_seed or None,
        inbox_prefix=f"_INBOX.{name}".encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,  # type: ignore[arg-type]  # a float works; the default of 2 s is slow
        connect_timeout=3,
        ping_interval=PING_SECONDS,  # type: ignore[arg-type]  # a float works
        error_cb=complaints.hear,
        disconnected_cb=lost,
        reconnected_cb=found_again,
    )
    try:
        version = client.connected_server_version
        found = (version.major, version.minor, version.patch)
        if found < minimum_server:
            raise Misconfigured(
                f"nats-server {'.'.join(map(str, found))} at {shown(settings.nats_url)} is too old: those "
                f"older than {'.'.join(map(str, minimum_server))} lose queued work when they are killed"
            )
        complaints.connected = True
        bus.append(Bus(client, patience_seconds=patience_seconds))
        yield bus[0]
    finally:
        bus.clear()
        with contextlib.suppress(ConnectionError):  # the broker may be going, too
            await client.close()
