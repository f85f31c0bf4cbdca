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

    async def fetch(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
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
