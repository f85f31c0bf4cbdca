"""The jobs of a user, in several processes, share one window of chunks that wait for their text."""

import asyncio
from pathlib import Path

from prometheus_client import REGISTRY

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobState, Lane
from services.contracts.topology import Stream
from services.dev.stand_in_endpoint import StandIn
from tests.conftest import ConnectBus
from tests.pipeline import OWNER, Pipeline, make_chunker, worker

WINDOW = 3


async def queued(pipeline: Pipeline) -> dict[str, int]:
    """How many chunks of each run wait for their text or are being transcribed."""
    counts: dict[str, int] = {}
    for subject in await pipeline.bus.subjects(Stream.CHUNK, topology.chunk("*", OWNER, "*")):
        run = topology.run_of_work(subject)
        counts[run] = counts.get(run, 0) + 1
    return counts


async def test_two_jobs_in_two_processes_share_one_window(
    pipeline: Pipeline, connect_bus: ConnectBus, talk: bytes, tmp_path: Path
) -> None:
    pipeline.endpoint.seconds = 0.5
    pipeline.chunker.cancel()
    await asyncio.gather(pipeline.chunker, return_exceptions=True)
    async with connect_bus("one") as one, connect_bus("two") as two:
        settings = {"window_chunks": WINDOW, "chunker_slots": 1}  # neither can take both jobs
        chunkers = [make_chunker(bus, tmp_path, **settings) for bus in (one, two)]
        async with worker(chunkers[0].run), worker(chunkers[1].run):
            jobs = [await pipeline.start_job(key) for key in ("first", "second")]
            for job in jobs:
                await pipeline.upload(job, talk)
            seen: list[dict[str, int]] = []

            async def all_have_ended() -> bool:
                seen.append(await queued(pipeline))
                return all([(await pipeline.record(job)).state.final for job in jobs])

            await pipeline.until(all_have_ended, seconds=90)
    assert {(await pipeline.record(job)).state for job in jobs} == {JobState.COMPLETED}
    assert any(len(counts) == len(jobs) for counts in seen), "they did not run at the same time"
    share = WINDOW // len(jobs)
    assert max(sum(counts.values()) for counts in seen) <= WINDOW + share


async def test_a_job_alone_has_the_whole_window(pipeline: Pipeline, talk: bytes) -> None:
    pipeline.endpoint.seconds = 3.0
    job = await pipeline.start_job("alone")
    await pipeline.upload(job, talk)
    seen: list[dict[str, int]] = []

    async def ended() -> bool:
        seen.append(await queued(pipeline))
        return (await pipeline.record(job)).state.final

    await pipeline.until(ended)
    assert max(sum(counts.values()) for counts in seen) > WINDOW


async def test_an_old_chunk_with_a_high_number_opens_no_window(bus: Bus, talk: bytes, tmp_path: Path) -> None:
    """A killed broker may bring it back; what is before it has its place, but no more at once than ever."""
    pipeline = Pipeline(bus, StandIn(seconds=0.0, capacity=1), asyncio.Future())
    job = await pipeline.start_job("again", admitted=True)
    await bus.create(topology.chunk(Lane.SHORT, OWNER, run_id(job, 0), 999), b"old")
    await pipeline.upload(job, talk)
    stalled = REGISTRY.get_sample_value("whisper_window_stall_seconds_total") or 0.0

    async def waits() -> bool:
        return (REGISTRY.get_sample_value("whisper_window_stall_seconds_total") or 0.0) > stalled

    async with worker(make_chunker(bus, tmp_path, window_chunks=WINDOW).run):
        await pipeline.until(waits)
        assert await queued(pipeline) == {run_id(job, 0): WINDOW + 1}
