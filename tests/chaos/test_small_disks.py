"""A whole system whose disk budgets are used up one after the other, under load, and then have room again."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.common.bus import Bus, connect
from services.contracts.topology import MINIMUM_SERVER, Stream
from services.provision.declare import declare
from services.provision.settings import Settings
from tests.chaos import checks, table
from tests.chaos.cast import Cast, Casting, cast
from tests.chaos.matrix import Corpus, Outcome, Scale, calm, corpus_of, leaked, left_over, performed
from tests.chaos.metrics import metric
from tests.chaos.table import Section

FULL_SECONDS = 20.0
"""How long there is no room, from when it was first missed."""
NOTICED_SECONDS = 120.0
SCALE = Scale(
    jobs=8, longest_seconds=240.0, spread_seconds=10.0, limit_seconds=600.0, casting=Casting(replicas={})
)
BUDGETS: Mapping[Stream, tuple[str, int]] = {
    Stream.JOB: ("records_max_bytes", 2_000),
    Stream.RES: ("results_max_bytes", 4_000),
    Stream.UP: ("up_max_bytes", 1_500_000),
    Stream.CHUNK: ("chunk_max_bytes", 700_000),
}
"""The setting of each, and the least that it is set to."""
USED_SHARE = 0.7
"""What earlier rows left may take so much of a budget, so that some uploads come in before it is full."""
SECTION = Section(
    name="disks",
    title="Full disks",
    about=f"""\
`pytest -m slow tests/chaos/test_small_disks.py`: recordings arrive while a stream has the disk budget of the
row; {FULL_SECONDS:.0f} s after room was missed first, it gets its usual one, as by provisioning again.

- refused: uploads that were answered 503, at the door or on their way; their clients came back until they
  were taken. waits: times that a chunker or a transcriber had something to store and found no room.
- identical: transcripts that are, byte for byte, those of a run with room.
- calls: of the endpoint, one a chunk, those of uploads that broke off and came again included.
- wrong: everything that was not as it must be.""",
    heads=("stream", "bytes", "refused", "waits", "jobs", "identical", "chunks", "calls", "wrong", "minutes"),
)


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_a_full_disk_costs_time_and_nothing_else(tmp_path: Path) -> None:
    files = corpus_of(SCALE, tmp_path / "corpus")
    expected = await calm(SCALE, files, tmp_path / "calm")
    wrong: list[str] = []
    outcomes: list[Outcome] = []
    async with cast(tmp_path / "run", SCALE.casting) as running, _operator(running) as bus:
        for seed, (stream, (setting, least)) in enumerate(BUDGETS.items(), start=1):
            size = max(least, int((await bus.state(stream)).bytes / USED_SHARE))
            before, started = await _missed(running), time.monotonic()
            calls = await _calls(running)
            outcome = await _squeezed(running, bus, files, {setting: size}, seed)
            refused, waits = (now - then for now, then in zip(await _missed(running), before, strict=True))
            changed = checks.changed(expected, outcome.transcripts)
            found = [*outcome.violations, *changed]
            found += [] if refused + waits else ["nobody missed any room"]
            chunks = sum(event.name == "text" for events in outcome.stored.values() for event in events)
            wrong += [f"{stream}: {sentence}" for sentence in found]
            told = (int(refused), int(waits), SCALE.jobs, SCALE.jobs - len(changed), chunks)
            minutes = f"{(time.monotonic() - started) / 60:.1f}"
            made = int(await _calls(running) - calls)
            table.keep_cells(SECTION, stream, f"{size:,}", *told, made, len(found), minutes)
            outcomes.append(outcome)
        wrong += await left_over(running, *outcomes)
        wrong += await leaked(running)
    assert wrong == []


@asynccontextmanager
async def _operator(running: Cast) -> AsyncIterator[Bus]:
    async with connect(running.stack.operator, "operator", MINIMUM_SERVER) as bus:
        yield bus


async def _squeezed(running: Cast, bus: Bus, files: Corpus, small: Mapping[str, Any], seed: int) -> Outcome:
    """Send everything while there is little room; there is enough again some time after it was missed."""
    before = await _missed(running)
    await declare(bus.jetstream, Settings(**small))

    async def mend() -> None:
        async with asyncio.timeout(NOTICED_SECONDS):
            while await _missed(running) == before:  # noqa: ASYNC110  # other processes count
                await asyncio.sleep(0.5)
        await asyncio.sleep(FULL_SECONDS)
        await declare(bus.jetstream, Settings())

    mending = asyncio.create_task(mend())
    try:
        return await performed(running, SCALE, files, seed, until=mending)
    finally:
        mending.cancel()
        await asyncio.gather(mending, return_exceptions=True)


async def _missed(running: Cast) -> tuple[float, float]:
    """Uploads that were refused, and waits for room, in all processes since they began."""
    bases = running.stack.metrics.values()
    posts = {"route": "/v1/jobs", "method": "POST", "status": "503"}
    refused = [await metric(base, "whisper_http_requests_total", **posts) for base in bases]
    waits = [await metric(base, "whisper_room_waits_total") for base in bases]
    return sum(refused), sum(waits)


async def _calls(running: Cast) -> float:
    """Calls of the endpoint that gave a text."""
    bases = running.stack.metrics.values()
    return sum([await metric(base, "whisper_endpoint_calls_total", outcome="ok") for base in bases])
