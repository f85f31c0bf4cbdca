"""Requests that join, leave and fail around an engine made of paper, whose steps are real."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from blockbuster import blockbuster_ctx

from endpoint.errors import BadInput, Busy, Loading, ModelFailed, OutOfMemory, Stopping
from endpoint.events import Finished, Progressed
from endpoint.hearing import Hearing
from endpoint.inference_loop import Joined
from endpoint.invocation import Chunk
from endpoint.scheduler import Scheduler, Status
from endpoint.settings import EndpointSettings
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult
from tests.paper_engine import PaperEngine, told


@contextlib.asynccontextmanager
async def scheduling(engine: PaperEngine, **settings: float) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(EndpointSettings(**settings))  # type: ignore[arg-type]  # fields by name
    await scheduler.load(lambda: engine)
    with blockbuster_ctx("endpoint"):
        yield scheduler
    engine.go.set()
    assert await scheduler.close()


def chunk(seconds: float, language: str | None = None) -> Chunk:
    return Chunk(np.zeros(round(seconds * SAMPLE_RATE), np.float32), InferenceOptions(language=language))


async def heard(scheduler: Scheduler, seconds: float, language: str | None = None) -> InferenceResult:
    with scheduler.admission():
        async with scheduler.hearing(chunk(seconds, language)) as hearing:
            return await hearing.result()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the engine is a thread
            await asyncio.sleep(0.001)


async def test_before_the_model_is_there_nobody_is_admitted() -> None:
    with pytest.raises(Loading), Scheduler(EndpointSettings()).admission():
        pass


async def test_a_loader_that_fails_says_so() -> None:
    def fail() -> PaperEngine:
        raise OSError("no such model")

    scheduler = Scheduler(EndpointSettings())
    with pytest.raises(OSError, match="no such model"):
        await scheduler.load(fail)
    assert scheduler.status is Status.LOADING


async def test_requests_share_the_batch_up_to_its_capacity() -> None:
    engine = PaperEngine(held=True)
    async with scheduling(engine, max_batch=16) as scheduler:
        running = [asyncio.create_task(heard(scheduler, 1)) for _ in range(9)]
        await until(lambda: len(engine.rows) == 4)
        engine.go.set()
        assert await asyncio.gather(*running) == [told(1)] * 9
    assert 4 <= engine.most <= 9


async def test_the_batch_grows_where_the_model_is_fast() -> None:
    engine = PaperEngine()
    async with scheduling(engine, max_batch=8) as scheduler:
        await asyncio.gather(*(heard(scheduler, 2) for _ in range(18)))
        engine.go.clear()
        running = [asyncio.create_task(heard(scheduler, 1)) for _ in range(12)]
        await until(lambda: len(engine.rows) == 8)
        engine.go.set()
        await asyncio.gather(*running)
    assert engine.most == 8


async def test_no_more_join_than_memory_holds() -> None:
    engine = PaperEngine(room=2)
    async with scheduling(engine, max_batch=16) as scheduler:
        await asyncio.gather(*(heard(scheduler, 2) for _ in range(12)))
    assert (engine.most, len(engine.served)) == (2, 12)


async def test_a_request_joins_a_batch_that_runs() -> None:
    engine = PaperEngine(held=True)
    async with scheduling(engine) as scheduler:
        first = asyncio.create_task(heard(scheduler, 3))
        await until(lambda: engine.joined == [3])
        second = asyncio.create_task(heard(scheduler, 1))
        await until(lambda: engine.joined == [3, 1])
        engine.go.set()
        await asyncio.gather(first, second)
    assert engine.served == [1, 3]


async def test_places_are_given_in_the_order_of_arrival() -> None:
    engine = PaperEngine(held=True, room=1)
    async with scheduling(engine) as scheduler:
        running = []
        for number in range(1, 5):
            running.append(asyncio.create_task(heard(scheduler, number)))
            await until(lambda wanted=number: len(scheduler._hearings) == wanted)  # type: ignore[misc]
        engine.go.set()
        await asyncio.gather(*running)
    assert engine.joined == [1, 2, 3, 4]


async def test_one_too_many_is_refused() -> None:
    engine = PaperEngine(held=True, room=1)
    async with scheduling(engine, max_queue=2) as scheduler:
        running = [asyncio.create_task(heard(scheduler, 1)) for _ in range(3)]
        await until(lambda: len(engine.rows) == 1)
        with pytest.raises(Busy):
            await heard(scheduler, 1)
        engine.go.set()
        await asyncio.gather(*running)


async def test_who_waits_too_long_for_a_place_is_refused() -> None:
    engine = PaperEngine(held=True, room=1)
    async with scheduling(engine, queue_timeout_seconds=0.1) as scheduler:
        first = asyncio.create_task(heard(scheduler, 1))
        await until(lambda: len(engine.rows) == 1)
        with pytest.raises(Busy, match=r"0\.1 s"):
            await heard(scheduler, 2)
        engine.go.set()
        await first
    assert engine.joined == [1]


async def test_who_leaves_is_out_of_the_batch_at_the_next_step() -> None:
    engine = PaperEngine(held=True)
    async with scheduling(engine) as scheduler:
        leaving = asyncio.create_task(heard(scheduler, 2))
        staying = asyncio.create_task(heard(scheduler, 1))
        await until(lambda: len(engine.rows) == 2)
        leaving.cancel()
        await until(lambda: len(engine.rows) == 1)
        engine.go.set()
        assert await staying == told(1)
    assert (engine.left, engine.served) == ([2], [1])


@pytest.mark.parametrize(
    ("language", "error"),
    [("elvish", BadInput), ("unheard", ValueError), ("broken", RuntimeError), ("huge", OutOfMemory)],
)
async def test_a_request_fails_alone(language: str, error: type[Exception]) -> None:
    async with scheduling(PaperEngine()) as scheduler:
        others = [asyncio.create_task(heard(scheduler, 3)) for _ in range(3)]
        with pytest.raises(error):
            await heard(scheduler, 1, language)
        assert await asyncio.gather(*others) == [told(3)] * 3


async def test_an_engine_that_dies_fails_everybody_and_takes_nobody() -> None:
    engine = PaperEngine(held=True, room=2)
    async with scheduling(engine) as scheduler:
        running = [asyncio.create_task(heard(scheduler, 1, "fatal")) for _ in range(4)]
        await until(lambda: len(engine.rows) == 2)
        engine.go.set()
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ModelFailed] * 4
        await asyncio.wait_for(scheduler.broken.wait(), 10)
        with pytest.raises(Stopping):
            await heard(scheduler, 1)


async def test_a_slow_reader_gets_the_latest_text_only() -> None:
    hearing = Hearing(chunk(1))
    for news in (Joined(1), Progressed(1, "one"), Progressed(1, "one two")):
        hearing.tell(news)
    assert await anext(hearing.texts()) == "one two"
    hearing.tell(Finished(1, told(1)))
    assert [text async for text in hearing.texts()] == []
    assert await hearing.result() == told(1)


async def test_a_drain_lets_those_admitted_finish() -> None:
    engine = PaperEngine(held=True, room=1)
    async with scheduling(engine) as scheduler:
        running = [asyncio.create_task(heard(scheduler, 1)) for _ in range(3)]
        await until(lambda: len(engine.rows) == 1)
        draining = asyncio.create_task(scheduler.drain())
        await until(lambda: scheduler.status is Status.STOPPING)
        with pytest.raises(Stopping):
            await heard(scheduler, 1)
        engine.go.set()
        await draining
        assert await asyncio.gather(*running) == [told(1)] * 3


async def test_a_drain_gives_up_on_what_takes_too_long() -> None:
    engine = PaperEngine(held=True, room=1)
    async with scheduling(engine, drain_seconds=0.1) as scheduler:
        running = [asyncio.create_task(heard(scheduler, 1)) for _ in range(3)]
        await until(lambda: len(engine.rows) == 1)
        await scheduler.drain()
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Stopping] * 3


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_clients_do_everybody_gets_their_own_answer(seed: int) -> None:
    """400 clients: some leave at any moment, some have no patience, some fail; nothing is left behind."""
    chance, engine = random.Random(seed), PaperEngine(room=2, step_seconds=0.002)
    outcomes: list[str] = []

    async def client(seconds: float, fault: str | None, patience: float | None) -> None:
        await asyncio.sleep(chance.uniform(0, 0.4))
        try:
            async with asyncio.timeout(patience):
                result = await heard(scheduler, seconds, fault)
        except (TimeoutError, Busy, BadInput, ValueError, RuntimeError, OutOfMemory) as error:
            outcomes.append(type(error).__name__)
        else:
            assert fault is None
            assert result.text == f"{seconds:g}"
            outcomes.append("served")

    async with scheduling(engine, max_batch=16, max_queue=20, queue_timeout_seconds=0.1) as scheduler:
        async with asyncio.TaskGroup() as group:
            for number in range(400):
                fault = chance.choice([None] * 8 + ["elvish", "unheard", "broken", "huge"])
                patience = chance.choice([None, None, chance.uniform(0, 0.05)])
                group.create_task(client(1 + number / 100, fault, patience))
        await until(lambda: not engine.rows)
        assert (scheduler._hearings, scheduler._admitted) == ({}, 0)
        assert (scheduler._inference._waiting, scheduler._inference._joined) == ({}, {})
    assert len(outcomes) == 400
    assert {"served", "TimeoutError", "Busy", "BadInput", "OutOfMemory"} <= set(outcomes)
    assert engine.most <= 2
