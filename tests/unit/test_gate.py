"""What passes to an endpoint that refuses: one chunk at a time, until one is answered."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from services.common.errors import Transient
from services.transcriber.errors import EndpointAway, EndpointBusy, EndpointCold, ModelFailed
from services.transcriber.gate import Gate

SOON = 0.02
LATER = 60.0


async def new() -> float:
    return 0.0


async def old() -> float:
    return 1000.0


async def refused(gate: Gate, error: Transient) -> None:
    """A call that the endpoint refuses."""
    with pytest.raises(type(error)):
        async with gate.passage(new):
            raise error


async def answered(gate: Gate) -> None:
    async with gate.passage(new):
        gate.open()


async def steps() -> None:
    """Let every task go as far as it can without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_at_a_time_asks_until_one_is_answered() -> None:
    gate, asking, most, calls = Gate(LATER), 0, 0, 0

    async def call() -> None:
        nonlocal asking, most, calls
        asking, calls = asking + 1, calls + 1
        most = max(most, asking)
        await steps()
        asking -= 1
        if calls < 5:
            raise EndpointCold("starting", retry_after=SOON)
        gate.open()

    async def chunk() -> None:
        done = False
        while not done:
            with contextlib.suppress(EndpointCold):
                async with gate.passage(new):
                    await call()
                    done = True

    await refused(gate, EndpointCold("starting", retry_after=SOON))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        chunks = [group.create_task(chunk()) for _ in range(10)]
        while calls < 5:  # noqa: ASYNC110  # a counter
            await asyncio.sleep(0)
        assert most == 1
    assert all(one.done() for one in chunks)
    assert calls == 14
    assert most > 1, "an open gate lets all of them pass together"


async def test_a_busy_endpoint_holds_the_others_too() -> None:
    gate = Gate(LATER)
    await refused(gate, EndpointBusy("full", retry_after=LATER))
    waiting = asyncio.create_task(answered(gate))
    await steps()
    assert not waiting.done()
    gate.open()
    await asyncio.wait_for(waiting, 5)


async def test_one_chunks_failure_holds_nobody() -> None:
    gate = Gate(LATER)
    await refused(gate, ModelFailed("broke", retry_after=LATER))
    await refused(gate, EndpointAway("broke off", retry_after=LATER))
    await asyncio.wait_for(answered(gate), 5)


async def deleted(gate: Gate) -> None:
    async with gate.passage(new):
        return


async def poisoned(gate: Gate) -> None:
    await refused(gate, ModelFailed("broke", retry_after=LATER))


async def stopped(gate: Gate) -> None:
    entered = asyncio.Event()

    async def call() -> None:
        async with gate.passage(new):
            entered.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await entered.wait()
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)


@pytest.mark.parametrize("told_nothing", [deleted, poisoned, stopped])
async def test_another_asks_at_once_when_the_first_learned_nothing(
    told_nothing: Callable[[Gate], Awaitable[None]],
) -> None:
    gate = Gate(LATER, probe_seconds=LATER)
    await refused(gate, EndpointCold("starting", retry_after=0.0))
    async with asyncio.timeout(5):
        await told_nothing(gate)
        await answered(gate)


async def test_another_asks_when_the_first_hangs() -> None:
    gate, hangs = Gate(LATER, probe_seconds=SOON), asyncio.Event()

    async def hanging() -> None:
        async with gate.passage(new):
            await hangs.wait()

    await refused(gate, EndpointCold("starting", retry_after=0.0))
    first = asyncio.create_task(hanging())
    await steps()
    await asyncio.wait_for(answered(gate), 5)
    hangs.set()
    await first


async def test_an_endpoint_that_is_away_while_it_starts_is_asked_as_slowly() -> None:
    gate = Gate(LATER)
    await refused(gate, EndpointCold("starting", retry_after=0.0))
    await refused(gate, EndpointAway("no connection"))
    waiting = asyncio.create_task(answered(gate))
    await steps()
    assert not waiting.done()
    gate.open()
    await waiting


async def test_waiting_counts_as_failing_from_when_the_gate_was_closed() -> None:
    """A chunk that stood in the queue all the time has waited as long as one in hand, and no longer."""
    patience, calls = 0.05, 0
    gate, begun = Gate(patience), time.monotonic()

    async def chunk(age: Callable[[], Awaitable[float]]) -> None:
        nonlocal calls
        async with gate.passage(age):
            calls += 1
            raise EndpointCold("still starting", retry_after=LATER)

    await refused(gate, EndpointCold("starting", retry_after=2 * patience))
    waiting = [asyncio.create_task(chunk(new)) for _ in range(3)]
    left = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    left += await asyncio.gather(chunk(old), return_exceptions=True)
    assert calls == 1, "after their patience one of them asked once more for all"
    assert [str(error) for error in left] == ["still starting"] * 4
    for error in left:
        assert isinstance(error, EndpointCold)
        assert error.since is not None
        assert begun <= error.since < time.monotonic() - patience

    young = asyncio.create_task(answered(gate))
    await steps()
    assert not young.done()
    gate.open()
    await young


async def test_a_stop_lets_go_of_all_who_wait() -> None:
    gate = Gate(LATER)
    await refused(gate, EndpointCold("starting", retry_after=LATER))
    waiting = [asyncio.create_task(answered(gate)) for _ in range(3)]
    await steps()
    gate.end()
    left = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [type(error) for error in left] == [EndpointCold] * 3
    assert {error.retry_after for error in left if isinstance(error, EndpointCold)} == {0.0}


def cold_starts() -> tuple[float, float]:
    """How many were met to their end, and how long they took together."""
    count, total = (
        REGISTRY.get_sample_value(f"whisper_endpoint_cold_seconds_{part}") for part in ("count", "sum")
    )
    return count or 0.0, total or 0.0


async def test_a_cold_start_is_told_once_it_is_over() -> None:
    """From the first refusal to the first answer, whatever other refusals came between."""
    gate, (count, total) = Gate(LATER), cold_starts()
    await refused(gate, EndpointCold("starting", retry_after=SOON))
    began = time.monotonic()
    await refused(gate, EndpointBusy("full", retry_after=SOON))
    await refused(gate, EndpointCold("starting", retry_after=SOON))
    assert cold_starts() == (count, total)
    await answered(gate)
    took, (after, seconds) = time.monotonic() - began, cold_starts()
    assert after == count + 1
    assert seconds - total >= took


async def test_an_endpoint_that_is_only_full_is_not_cold() -> None:
    gate, before = Gate(LATER), cold_starts()
    await refused(gate, EndpointBusy("full", retry_after=SOON))
    await answered(gate)
    assert cold_starts() == before
