"""Cached values: fetched once for all who wait, kept through failures, and asked for not too often."""

import asyncio

import pytest

from services.common.cached import Cached
from services.common.errors import ServiceError, Transient


class Source:
    """Counts its answers, and fails on demand."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: ServiceError | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def fetch(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return self.asked


def cached(source: Source, *, keep: float = 1000.0, retry: float = 0.0) -> Cached[int]:
    return Cached(source.fetch, keep_seconds=keep, retry_seconds=retry)


async def test_a_fresh_value_is_not_fetched_again() -> None:
    source = Source()
    value = cached(source)

    assert [await value.get(), await value.get()] == [1, 1]
    assert await value.get(newest=True) == 2


async def test_an_old_value_is_fetched_again() -> None:
    value = cached(Source(), keep=-1.0)

    assert [await value.get(), await value.get()] == [1, 2]


async def test_many_who_ask_at_once_cause_one_fetch() -> None:
    source = Source()
    value = cached(source, retry=1000.0)

    assert await asyncio.gather(*(value.get() for _ in range(20))) == [1] * 20
    assert source.asked == 1


async def test_newest_is_fetched_no_oftener_than_allowed() -> None:
    source = Source()
    value = cached(source, retry=1000.0)

    assert [await value.get(newest=True) for _ in range(50)] == [1] * 50
    assert source.asked == 1


async def test_a_failure_keeps_the_value_and_is_told() -> None:
    source = Source()
    value = cached(source)
    await value.get()
    source.error = Transient("away")

    assert await value.get(newest=True) == 1
    assert value.error is source.error

    source.error = None
    assert await value.get(newest=True) == 3
    assert value.error is None


async def test_without_any_value_the_failure_is_raised() -> None:
    source = Source()
    source.error = Transient("away")
    value = cached(source)

    for _ in range(3):
        with pytest.raises(Transient, match="away"):
            await value.get()


async def test_who_has_an_old_value_does_not_wait_for_a_fetch_that_hangs() -> None:
    source = Source()
    value = cached(source, keep=-1.0)
    await value.get()
    source.answers.clear()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        first = group.create_task(value.get())
        while source.asked < 2:  # noqa: ASYNC110  # it comes with the next turns of the loop
            await asyncio.sleep(0)
        assert await value.get() == 1
        newest = group.create_task(value.get(newest=True))
        source.answers.set()
    assert (first.result(), newest.result()) == (2, 3)


async def test_while_it_fails_an_old_value_causes_few_tries() -> None:
    source = Source()
    value = cached(source, keep=0.05)
    await value.get()
    source.error = Transient("away")
    async with asyncio.timeout(10):
        while value.error is None:
            await value.get()
            await asyncio.sleep(0.01)

    asked, tries = source.asked, 50
    assert [await value.get() for _ in range(tries)] == [1] * tries
    assert source.asked < asked + tries / 2  # 0.05 s pass now and then
