"""Whose chunk goes to the endpoint next."""

import asyncio

import pytest

from services.contracts.messages import Lane
from services.transcriber.turns import Turns, next_lane


@pytest.mark.parametrize(
    ("waiting", "lane"),
    [
        ({Lane.LONG: 0, Lane.SHORT: 0, Lane.LOW: 0}, Lane.SHORT),
        ({Lane.LOW: 0, Lane.LONG: 2}, Lane.LONG),
        ({Lane.LOW: 14}, Lane.LOW),
        ({Lane.SHORT: 0, Lane.LONG: 2}, Lane.SHORT),
        ({Lane.SHORT: 0, Lane.LONG: 3}, Lane.LONG),
        ({Lane.SHORT: 0, Lane.LONG: 3, Lane.LOW: 15}, Lane.LOW),
    ],
)
def test_short_ones_first_and_nobody_passed_over_for_ever(waiting: dict[Lane, int], lane: Lane) -> None:
    assert next_lane(waiting) is lane


async def test_a_busy_endpoint_is_shared() -> None:
    """With chunks of every lane always there, and one place: who gets how much of 64 turns."""
    turns, given = Turns(1), []

    async def work(lane: Lane) -> None:
        while True:
            await turns.take(lane)
            given.append(lane)
            await asyncio.sleep(0)
            turns.give_back()

    workers = [asyncio.create_task(work(lane)) for lane in Lane for _ in range(2)]
    while len(given) < 64:  # noqa: ASYNC110  # each turn is a step of the loop
        await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    counts = {lane: given[:64].count(lane) for lane in Lane}
    assert counts[Lane.LOW] in (3, 4)
    assert 14 <= counts[Lane.LONG] <= 16
    assert counts[Lane.SHORT] >= 44


async def test_low_priority_has_everything_where_nobody_else_is() -> None:
    turns = Turns(3)
    for _ in range(3):
        await turns.take(Lane.LOW)
    waiting = [asyncio.create_task(turns.take(lane)) for lane in (Lane.LOW, Lane.LONG, Lane.SHORT)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    for expected in ([False, False, True], [False, True, True], [True, True, True]):
        turns.give_back()
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == expected


async def test_a_place_is_not_lost_with_whoever_gave_up_waiting() -> None:
    turns = Turns(1)
    await turns.take(Lane.LONG)
    waiting = [asyncio.create_task(turns.take(Lane.LONG)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    turns.give_back()
    waiting[1].cancel()  # it has its place, and has not noticed
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        await turns.take(Lane.SHORT)
