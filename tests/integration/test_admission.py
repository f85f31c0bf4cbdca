"""Jobs wait for a place and begin in order, whichever processes decide and whichever of them die."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.chunker.admission import Admission
from services.common.bus import Bus
from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import CHUNKERS, Stream
from tests.conftest import ConnectBus
from tests.pipeline import worker

R = 3
SECONDS = 40.0


async def wait_for_place(bus: Bus, name: str, lane: Lane = Lane.SHORT, owner: str = "ann") -> None:
    assert await bus.create(topology.waiting(lane, owner, f"{name}-0", 0), name.encode())


async def running(bus: Bus, owner: str = "ann") -> set[str]:
    subjects = await bus.subjects(Stream.CTL, topology.control("*", owner, "*"))
    return {topology.job_of_work(subject) for subject in subjects}


async def still_waiting(bus: Bus, owner: str = "ann") -> set[str]:
    subjects = await bus.subjects(Stream.CTL, topology.waiting("*", owner, "*"))
    return {topology.job_of_work(subject) for subject in subjects}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110  # what it asks for is in the broker
            await asyncio.sleep(0.02)


async def until_running(bus: Bus, *names: str) -> None:
    async def all_of_them() -> bool:
        return await running(bus) == set(names)

    await until(all_of_them)


async def until_waiting(bus: Bus, *names: str) -> None:
    async def these() -> bool:
        return await still_waiting(bus) == set(names)

    await until(these)


async def ended(bus: Bus, admission: Admission | None = None) -> str:
    """Take the job that comes next and settle it as a chunker does; a killed one tells nobody."""
    spec = CHUNKERS[Lane.SHORT]
    subscription = await bus.jetstream.pull_subscribe_bind(spec.name, spec.stream)
    [message] = await subscription.fetch(1, timeout=SECONDS)
    assert message.metadata.num_delivered == 1
    await message.ack_sync()
    if admission is not None:
        admission.settled(message.subject)
    await subscription.unsubscribe()
    return message.data.decode()


async def test_the_rest_waits_and_begins_in_order(bus: Bus) -> None:
    admission = Admission(bus, R)
    async with worker(admission.run):
        for number in range(6):
            await wait_for_place(bus, f"job{number}")
        await until_running(bus, "job0", "job1", "job2")
        await until_waiting(bus, "job3", "job4", "job5")

        assert await ended(bus, admission) == "job0"
        await until_running(bus, "job1", "job2", "job3")
        assert [await ended(bus, admission) for _ in range(5)] == ["job1", "job2", "job3", "job4", "job5"]
        await until_waiting(bus)
    assert not await running(bus)


async def test_what_waited_before_anybody_looked_begins(bus: Bus) -> None:
    await wait_for_place(bus, "early")
    async with worker(Admission(bus, R).run):
        await until_running(bus, "early")


async def test_a_user_waits_for_nobody_else(bus: Bus) -> None:
    async with worker(Admission(bus, R).run):
        for number in range(20):
            await wait_for_place(bus, f"many{number}", owner="bulk")
        await wait_for_place(bus, "one")
        await until_running(bus, "one")
        assert len(await running(bus, "bulk")) == R


async def test_long_jobs_leave_a_place_for_a_short_one(bus: Bus) -> None:
    async with worker(Admission(bus, R).run):
        for number in range(5):
            await wait_for_place(bus, f"long{number}", Lane.LONG)
        await until_running(bus, "long0", "long1")
        await wait_for_place(bus, "short")
        await until_running(bus, "long0", "long1", "short")


async def test_several_processes_let_in_no_more_than_one(bus: Bus, connect_bus: ConnectBus) -> None:
    """Each settled job wakes one of them, each job that arrives all: never more than R at a time.

    Jobs end at once here, so that one may be let in again by a process that has not heard of its end.
    """
    async with connect_bus("a") as one, connect_bus("b") as two, connect_bus("c") as three:
        admissions = [Admission(each, R) for each in (one, two, three)]
        async with worker(admissions[0].run), worker(admissions[1].run), worker(admissions[2].run):
            most, done = 0, dict[str, bool]()
            for number in range(12):
                await wait_for_place(bus, f"job{number:02}")
            while len(done) < 12:
                done[await ended(bus, admissions[len(done) % 3])] = True
                most = max(most, len(await running(bus)))
    assert most <= R
    assert list(done) == [f"job{number:02}" for number in range(12)]


async def test_a_place_that_a_killed_process_freed_is_found(bus: Bus) -> None:
    async with worker(Admission(bus, 1).run):
        await wait_for_place(bus, "first")
        await wait_for_place(bus, "second")
        await until_running(bus, "first")
        assert await ended(bus) == "first"
        await until_running(bus, "second")


@pytest.mark.parametrize("over", [False, True])
async def test_a_process_that_dies_between_letting_in_and_erasing_does_no_harm(bus: Bus, over: bool) -> None:
    """The job may even have ended by then: it is let in again, and ends at once, as its end is stored."""
    await wait_for_place(bus, "job")
    if not over:
        await bus.create(topology.control(Lane.SHORT, "ann", "job-0", 0), b"job")
    async with worker(Admission(bus, R).run):
        await until_running(bus, "job")
        await until_waiting(bus)
    assert await running(bus) == {"job"}
