"""The connection to NATS: facts stored and read with retries, and wake-ups that may be lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from services.common.broker_state import QueueState, StreamState
from services.common.certificate import show_expiry
from services.common.complaints import Complaints, shown
from services.common.errors import BrokerUnavailable, Misconfigured, StorageFull
from services.common.link import Link
from services.common.nkey import check_seed
from services.common.refusals import SEQUENCE_NOT_FOUND, STREAM_FULL, WRONG_LAST_SEQUENCE
from services.common.settings import ServiceSettings
from services.common.tries import LONGEST_TRY_SECONDS, Tries
from services.common.trust import client_for

log = structlog.get_logger()

PING_SECONDS = 3.0
"""Two unanswered pings end a connection: a server that hangs, or a network that is cut, costs 9 s at most."""
PATIENCE_SECONDS = 60.0
"""A broker that is killed comes back within seconds; a cluster that lost its leader within ten."""
FULL_RETRY_SECONDS = 30.0
REJOIN_SECONDS = 10.0
"""So long after a reconnect those who answer questions may not be connected again themselves."""

EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its stream holds it."""

    subject: str
    sequence: int
    data: bytes
    headers: Mapping[str, str]
    time: datetime | None = None
    """As the leader tells it; in other replicas' answers it is a header."""

    @property
    def stored_at(self) -> float:
        """When it was stored by the broker's clock, as Unix time."""
        return (self.time or datetime.fromisoformat(self.headers["Nats-Time-Stamp"])).timestamp()


class Bus:
    """One connection. Its methods retry through broker restarts and raise only our errors."""

    def __init__(self, client: Client, *, patience_seconds: float) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream(timeout=LONGEST_TRY_SECONDS)
        self.breaks = 0
        """How often the connection broke: answers to what was asked before a break reach nobody."""
        self._rejoined_until = 0.0
        self.link = Link()
        self._retried = Tries(client, self.link, patience_seconds).until_done
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

    async def queue(self, queue: tuple[str, str]) -> QueueState:
        """How a queue (stream, durable consumer) stands."""
        return QueueState.of(await self._retried(lambda: self.jetstream.consumer_info(*queue)))

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

    async def state(self, stream: str, *, patience_seconds: float | None = None) -> StreamState:
        """How a stream stands; raises `BrokerUnavailable` also where it has lost its leader just now."""
        info = await self._retried(
            lambda: self.jetstream.stream_info(stream), patience_seconds=patience_seconds
        )
        return StreamState.of(info)

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
            time=raw.time,  # type: ignore[attr-defined]
        )

    async def on_lost(self) -> None:
        """nats-py's callback for a broken connection."""
        if not self.link.broken:
            log.warning("broker_lost")
            self.breaks += 1
        self.link.breaks()

    async def on_reconnected(self) -> None:
        """nats-py's callback for a connection made again: whoever waits looks at the streams anew."""
        log.info("broker_reconnected")
        self.link.mends()
        self._rejoined_until = asyncio.get_running_loop().time() + REJOIN_SECONDS
        for missed in self._missed:
            missed()
        show_expiry(self.client)


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
        show_expiry(client)
        bus.append(Bus(client, patience_seconds=patience_seconds))
        yield bus[0]
    finally:
        for one in bus:
            one.link.end()
        bus.clear()
        with contextlib.suppress(ConnectionError):  # the broker may be going, too
            await client.close()
