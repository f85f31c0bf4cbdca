"""A slow and lying endpoint: every word is there in the end, and a call that fails costs one more call."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.common.bus import connect
from services.common.settings import ServiceSettings
from services.contracts.messages import ChunkCut, ChunkFailed, ChunkTranscribed, JobEvent, JobState
from services.contracts.topology import MINIMUM_SERVER
from services.dev.stand_in_endpoint import Fault
from tests.chaos.endpoint_faults import ALL, COLD, MODEL, NO_TEXT, PASSING, Plan, hanging, saying
from tests.declared_nats import declared_nats
from tests.pipeline import Pipeline, piped

HANG_SECONDS = 90.0
READ_SECONDS = 3.0
STORM_SECONDS = 120.0
"""After most of the failures one chunk at a time asks, some seconds later."""
MODEL_FAILURES = len(ALL)
"""More than there can be on one chunk, so that none becomes a gap."""
FAMILIES: Mapping[str, Mapping[str, Fault]] = {
    "passing": PASSING,
    "cold": COLD,
    "model": {**MODEL, "hang": hanging(HANG_SECONDS)},
}
"""Each before an endpoint of its own, all at the same time, as most of a test is waiting."""


def told(events: list[JobEvent]) -> list[tuple[int, int, int, str]]:
    """What a job says, without what a clock had to do with."""
    texts = [event for event in events if isinstance(event, ChunkTranscribed)]
    return sorted((one.chunk, one.start, one.end, one.text) for one in texts)


async def _done(pipeline: Pipeline, key: str, talk: bytes) -> list[JobEvent]:
    job = await pipeline.start_job(key)
    await pipeline.upload(job, talk)
    assert (await pipeline.until_final(job, STORM_SECONDS)).state is JobState.COMPLETED
    return await pipeline.events(job)


def _failed_calls() -> float:
    """Calls of the endpoint that its metric counts as failed."""
    [calls] = [metric for metric in REGISTRY.collect() if metric.name == "whisper_endpoint_calls"]
    counts = [one for one in calls.samples if one.name.endswith("_total") and one.labels["outcome"] != "ok"]
    return sum(one.value for one in counts)


@asynccontextmanager
async def _own_pipeline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pipeline]:
    folder.mkdir()
    async with (
        declared_nats(folder / "nats") as broker,
        connect(ServiceSettings(nats_url=broker.url), "test", MINIMUM_SERVER) as bus,
        piped(
            bus,
            broker.url,
            folder,
            monkeypatch,
            read_timeout_seconds=READ_SECONDS,
            model_attempts=MODEL_FAILURES,
        ) as pipeline,
    ):
        yield pipeline


async def _storm(pipeline: Pipeline, faults: Mapping[str, Fault], talk: bytes) -> None:
    plan, calm = Plan(), await _done(pipeline, "calm", talk)
    calls = pipeline.endpoint.calls
    fault = plan.one_after_the_other(faults)
    pipeline.endpoint.failing = lambda call: fault(call - calls)

    stormy = await _done(pipeline, "stormy", talk)

    assert told(stormy) == told(calm)
    assert len(told(calm)) == sum(isinstance(event, ChunkCut) for event in calm)
    assert set(plan.given) == set(faults)
    assert pipeline.endpoint.calls - calls == len(told(calm)) + len(faults)
    assert not any(isinstance(event, ChunkFailed) for event in stormy)


async def test_each_kind_of_failure_costs_one_more_call_and_no_word(
    talk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        pipelines = {
            name: await stack.enter_async_context(_own_pipeline(tmp_path / name, monkeypatch))
            for name in FAMILIES
        }
        counted = _failed_calls()
        await asyncio.gather(*(_storm(pipelines[name], faults, talk) for name, faults in FAMILIES.items()))
        assert _failed_calls() - counted == sum(map(len, FAMILIES.values())) == len(ALL) + 1


async def test_an_empty_text_is_an_answer(pipeline: Pipeline, talk: bytes) -> None:
    """Whisper hears nothing where a detector took noise for speech; that chunk has its text: none."""
    pipeline.endpoint.failing = lambda call: saying(NO_TEXT) if call == 0 else None
    events = await _done(pipeline, "empty", talk)
    assert [text for *_, text in told(events)].count("") == 1
    assert len(told(events)) == sum(isinstance(event, ChunkCut) for event in events)
