"""The bus against a real nats-server: create-only facts, compare-and-set, wake-ups, restarts."""

import asyncio
import contextlib
import gc
import time

import msgspec
import pytest
from nats.aio.msg import Msg
from prometheus_client import REGISTRY

from services.common.bus import Bus, Stored
from services.common.consumer import Consumer, Delivery
from services.common.documents import Documents
from services.common.errors import BrokerUnavailable, Permanent, ServiceError, Transient
from services.common.scan import LEAST_WIDTH, scanned
from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import Stream
from services.dev.nats_server import NatsServer
from tests.conftest import ConnectBus
from tests.gateways import until


class Count(msgspec.Struct, frozen=True):
    value: int


async def test_create_stores_the_first_message_only(bus: Bus) -> None:
    subject = topology.text("r-0", 1)

    assert await bus.create(subject, b"first", {"X-Note": "kept"})
    assert not await bus.create(subject, b"second")

    stored = await bus.last(Stream.RES, subject)
    assert stored is not None
    assert (stored.data, stored.headers["X-Note"]) == (b"first", "kept")


async def test_next_walks_the_matching_subjects_in_stream_order(bus: Bus) -> None:
    for number in (2, 0, 1):
        await bus.create(topology.text("walk-0", number), str(number).encode())
    await bus.create(topology.text("other-0", 0), b"other")

    seen, after = [], 0
    while (found := await bus.next(Stream.RES, topology.results("walk-0"), after)) is not None:
        seen.append(found.data)
        after = found.sequence

    assert seen == [b"2", b"0", b"1"]


@pytest.mark.parametrize("by_leader", [False, True])
async def test_last_is_the_newest_message_or_none(bus: Bus, by_leader: bool) -> None:
    subject = topology.job_record("owner", "job")
    assert await bus.last(Stream.JOB, subject, by_leader=by_leader) is None

    await bus.create(subject, b"")
    await bus.replace(subject, b"new", expected=1, headers={"X-Note": "kept"})

    stored = await bus.last(Stream.JOB, subject, by_leader=by_leader)
    assert stored is not None
    assert (stored.sequence, stored.data, stored.headers["X-Note"]) == (2, b"new", "kept")
    assert abs(stored.stored_at - await bus.now(Stream.JOB)) < 60


async def test_a_message_may_be_removed_by_many_at_once(bus: Bus) -> None:
    """Each looks whether it is there before erasing it: all but one erase what is gone by then."""
    for number in range(5):
        await bus.create(topology.text("gone-0", number), b"")
        await asyncio.gather(*(bus.remove(Stream.RES, number + 1) for _ in range(20)))
    assert await bus.subjects(Stream.RES, ">") == {}


async def test_a_purge_may_stop_at_a_message(bus: Bus) -> None:
    """What was stored after somebody looked is not theirs to erase."""
    subjects = [topology.hotword_list("owner", name) for name in ("one", "other")]
    for number in range(3):
        for subject in subjects:
            await bus.replace(
                subject, b"%d" % number, expected=max(0, 2 * number - 1 + subjects.index(subject))
            )
    seen = await bus.last(Stream.HOTWORDS, subjects[0])
    assert seen is not None
    newer = await bus.replace(subjects[0], b"newer", expected=seen.sequence)
    await bus.purge(Stream.HOTWORDS, subjects[0], through=seen.sequence)
    left = await bus.last(Stream.HOTWORDS, subjects[0])
    assert left is not None
    assert (left.data, left.sequence) == (b"newer", newer)
    assert await bus.subjects(Stream.HOTWORDS, ">") == {subjects[0]: 1, subjects[1]: 3}


async def test_documents_change_survives_racing_writers(bus: Bus) -> None:
    documents = Documents(bus, Stream.JOB, Count)
    subject = topology.job_record("owner", "job")
    await documents.create(subject, Count(0))

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(documents.change(subject, lambda old: Count(old.value + 1)))

    assert await documents.get(subject) == Count(10)


async def test_a_stored_result_wakes_its_readers(bus: Bus) -> None:
    async with bus.woken_by(topology.live_results("wake-0")) as woken, asyncio.timeout(5):
        await bus.create(topology.text("wake-0", 0), b"x")
        await woken.wait()


async def test_operations_outlive_a_killed_broker(broker: NatsServer, bus: Bus) -> None:
    assert await bus.create(topology.text("kill-0", 0), b"before")
    await broker.kill()
    waiting = asyncio.create_task(bus.create(topology.text("kill-0", 1), b"during"))
    await broker.start()

    async with asyncio.timeout(20):
        assert await waiting
        stored = await bus.last(Stream.RES, topology.text("kill-0", 0))

    assert stored is not None
    assert stored.data == b"before"


async def test_a_question_that_went_down_with_the_broker_is_asked_again(
    broker: NatsServer, bus: Bus, connect_bus: ConnectBus
) -> None:
    heard: list[bytes] = []
    first = asyncio.Event()

    async def hear(message: Msg) -> None:
        heard.append(message.data)
        first.set()
        if len(heard) > 1:
            await message.respond(b"yes")

    async with connect_bus("auth") as other, asyncio.timeout(30):
        await other.client.subscribe("question", cb=hear)
        await other.client.flush()
        asking = asyncio.create_task(bus.request("question", b"?", timeout_seconds=60))
        await first.wait()
        await broker.kill()
        await broker.start()
        assert await asking == b"yes"
    assert heard == [b"?", b"?"]


async def test_whoever_answers_may_come_back_later_than_the_broker(
    broker: NatsServer, bus: Bus, connect_bus: ConnectBus
) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"yes")

    async with connect_bus("auth") as other, asyncio.timeout(30):
        await broker.kill()
        await broker.start()
        while not (bus.client.is_connected and other.client.is_connected):  # noqa: ASYNC110  # nats-py has no event
            await asyncio.sleep(0.05)
        before = _retries()
        asking = asyncio.create_task(bus.request("question", b"?", timeout_seconds=60))
        while _retries() == before:  # noqa: ASYNC110  # a counter
            await asyncio.sleep(0.01)
        await other.client.subscribe("question", cb=answer)
        assert await asking == b"yes"


async def test_the_brokers_clock_is_the_one_in_its_messages(bus: Bus) -> None:
    before = await bus.now(Stream.RES)
    await bus.create(topology.text("now-0", 0), b"x")
    stored = await bus.last(Stream.RES, topology.text("now-0", 0))
    assert stored is not None
    assert before <= stored.stored_at <= await bus.now(Stream.RES)


async def test_a_question_to_nobody_fails_at_once(bus: Bus) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(BrokerUnavailable, match="nobody listens to question"):
            await bus.request("question", b"?", timeout_seconds=60)


def _retries() -> float:
    return REGISTRY.get_sample_value("whisper_bus_retries_total") or 0.0


@pytest.mark.parametrize(
    ("error", "gives_up_after"),
    [(Permanent("never"), 1), (Transient("twice", retry_after=0.0, max_attempts=2), 2)],
)
async def test_consumer_gives_up_as_the_error_says(
    bus: Bus, error: ServiceError, gives_up_after: int
) -> None:
    attempts: list[int] = []
    given_up = asyncio.Event()

    async def handle(_message: bytes, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise error

    async def give_up(_message: bytes, _delivery: Delivery, _error: ServiceError) -> None:
        given_up.set()

    await bus.create(topology.chunk("short", "owner", "c-0", 0), b"audio")
    consumer = Consumer(
        stream=Stream.CHUNK,
        durable=topology.TRANSCRIBERS[Lane.SHORT].name,
        ack_wait_seconds=topology.TRANSCRIBERS[Lane.SHORT].ack_wait_seconds,
        read=lambda delivery: delivery.data,
        handle=handle,
        give_up=give_up,
    )
    stop = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(consumer.run(bus, 1, stop))
        await given_up.wait()
        stop.set()

    assert attempts == list(range(1, gives_up_after + 1))


async def test_a_reader_that_leaves_costs_no_stray_error(bus: Bus) -> None:
    """Cancelled in the very moment in which its answer came, an operation's error is nobody's any more."""
    strays: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: strays.append(context))
    for pauses in range(40):
        reading = asyncio.create_task(bus.last(Stream.RES, topology.text("none-0", 1)))
        for _ in range(pauses):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    gc.collect()

    assert strays == []


async def test_patience_begins_with_the_first_failure_not_with_the_message(bus: Bus) -> None:
    """A chunk that waited in a long queue gets as many tries as one that did not."""
    patience = 0.5
    failures: list[float] = []
    given_up = asyncio.Event()

    async def handle(_message: bytes, _delivery: Delivery) -> None:
        failures.append(time.monotonic())
        raise Transient("away", retry_after=0.1)

    async def give_up(_message: bytes, _delivery: Delivery, _error: ServiceError) -> None:
        given_up.set()

    await bus.create(topology.chunk("short", "owner", "old-0", 0), b"audio")
    born = time.monotonic()
    async with asyncio.timeout(5):
        while time.monotonic() < born + 2 * patience:  # noqa: ASYNC110  # age is what is tested
            await asyncio.sleep(0.05)
    consumer = Consumer(
        stream=Stream.CHUNK,
        durable=topology.TRANSCRIBERS[Lane.SHORT].name,
        ack_wait_seconds=topology.TRANSCRIBERS[Lane.SHORT].ack_wait_seconds,
        read=lambda delivery: delivery.data,
        handle=handle,
        give_up=give_up,
        patience_seconds=patience,
    )
    stop = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(consumer.run(bus, 1, stop))
        await given_up.wait()
        stop.set()

    assert len(failures) > 1
    assert failures[-1] - failures[0] > patience


async def test_a_consumer_ends_though_a_library_loses_its_cancellation(bus: Bus) -> None:
    """As `asyncio.wait_for` of Python 3.11 does when its result comes at the same time."""
    started = asyncio.Event()

    async def lose(_message: bytes, _delivery: Delivery) -> None:
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def never(_message: bytes, _delivery: Delivery, error: ServiceError) -> None:
        raise error

    queue = topology.TRANSCRIBERS[Lane.SHORT]
    consumer: Consumer[bytes] = Consumer(
        stream=queue.stream,
        durable=queue.name,
        ack_wait_seconds=queue.ack_wait_seconds,
        read=lambda delivery: delivery.data,
        handle=lose,
        give_up=never,
    )
    await bus.create(topology.chunk("short", "owner", "e-0", 0), b"audio")
    running = asyncio.create_task(consumer.run(bus, 2, asyncio.Event()))
    await started.wait()
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=20)
    assert done


async def test_consumer_hands_a_message_back_when_it_is_cancelled(bus: Bus) -> None:
    handled: list[int] = []
    started, done = asyncio.Event(), asyncio.Event()

    async def hang(_message: bytes, _delivery: Delivery) -> None:
        started.set()
        await asyncio.Event().wait()

    async def finish(_message: bytes, delivery: Delivery) -> None:
        handled.append(delivery.attempt)
        done.set()

    async def never(_message: bytes, _delivery: Delivery, error: ServiceError) -> None:
        raise error

    def consumer(handle: object) -> Consumer[bytes]:
        return Consumer(
            stream=Stream.CHUNK,
            durable=topology.TRANSCRIBERS[Lane.SHORT].name,
            ack_wait_seconds=topology.TRANSCRIBERS[Lane.SHORT].ack_wait_seconds,
            read=lambda delivery: delivery.data,
            handle=handle,  # type: ignore[arg-type]
            give_up=never,
        )

    await bus.create(topology.chunk("short", "owner", "d-0", 0), b"audio")
    first = asyncio.create_task(consumer(hang).run(bus, 1, asyncio.Event()))
    await started.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(consumer(finish).run(bus, 1, stop))
        await done.wait()
        stop.set()
    assert handled == [2]


async def test_a_scan_finds_the_newest_of_each_subject_and_says_how_far_it_is_complete(bus: Bus) -> None:
    """Some subjects are another owner's, some were changed; there are more than one range holds."""
    found: dict[str, bytes] = {}

    def take(stored: Stored) -> None:
        found[stored.subject] = stored.data

    mine = topology.job_record("me", "*")
    assert await scanned(bus, Stream.JOB, mine, take) == 0
    for number in range(3 * LEAST_WIDTH):
        owner = "me" if number % 2 else "other"
        await bus.create(topology.job_record(owner, f"job{number}"), b"old")
    newest = await bus.replace(topology.job_record("me", "job1"), b"new", expected=2)
    await bus.create(topology.job_record("other", "last"), b"")

    assert await scanned(bus, Stream.JOB, mine, take) == newest
    assert found.keys() == {topology.job_record("me", f"job{n}") for n in range(1, 3 * LEAST_WIDTH, 2)}
    assert found[topology.job_record("me", "job1")] == b"new"
    assert set(found.values()) == {b"old", b"new"}


def retries() -> float:
    """Tries that failed, of all connections of this process."""
    return REGISTRY.get_sample_value("whisper_bus_retries_total") or 0.0


async def test_who_waits_to_try_again_does_so_as_soon_as_the_broker_is_back(
    bus: Bus, broker: NatsServer
) -> None:
    """By then the pauses between tries are long: questions asked after the reconnect would all be first."""
    subject = topology.job_record("owner", "job")
    await bus.create(subject, b"there")
    await broker.kill()
    before = retries()
    waiting = asyncio.create_task(bus.last(Stream.JOB, subject))

    async def tried_often() -> bool:
        return retries() >= before + 6

    await until(tried_often, seconds=60)
    async with asyncio.timeout(60):
        async with bus.woken_by("live.nothing") as back:
            back.clear()
            await broker.start()
            await back.wait()
        for _ in range(100):
            await bus.last(Stream.JOB, subject)
        assert waiting.done()
