"""The list of one user's jobs, 10,000 of them: its pages warm, and the first one after a restart.

As many jobs of another user lie between them. Beside the first page other requests go on, and the longest
of those is told, too.
"""

import argparse
import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from bench.load.percentiles import percentile
from bench.load.processes import processor_seconds
from bench.report import Figure, at_most, publish
from services.common.bus import Bus, connect
from services.common.logs import configure
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token
from services.contracts.messages import JobOptions, JobRecord, JobState, Lane, UploadState
from services.contracts.topology import DAY_SECONDS, MINIMUM_SERVER
from services.dev.local import Stack, StackOptions, local_stack
from services.dev.processes import free_port
from tests.api import Api, logged_in

WORK = Path(__file__).parents[1] / "work"
USER, OTHER = "admin", "other"
JOBS = 10_000
CALLS = 500
RESTARTS = 5
AT_ONCE = 32
WARM_SECONDS = 0.050
COLD_SECONDS = 5.0
BESIDE_SECONDS = 0.1
PAUSE_SECONDS = 0.01
SETTINGS = {"LOG_LEVEL": "warning", "JANITOR_SECONDS": "600"}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that calls took."""

    newest: list[float]
    """The first page, again and again."""
    changed: list[float]
    """The same, each time after one of the jobs changed."""
    anywhere: list[float]
    """Pages all along the list."""
    cold: list[float]
    """The first page that a gateway was ever asked for."""
    beside: list[float]
    """Other requests while the cold one was on its way."""
    cpu_of_newest: float
    """Processor seconds of the gateway for all of the newest pages."""
    cpu_of_anywhere: float
    load: float
    """Of the machine in the last minute."""


def main() -> None:
    """Run it and write results/load.history.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    jobs = parser.parse_args().jobs
    configure("bench", "warning")
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, ignore_cleanup_errors=True) as folder:
        found = asyncio.run(_measured(Path(folder), jobs))
    publish(
        "load.history",
        f"`GET /v1/jobs?limit=50` of a user with {jobs:,} jobs, as many of another user's between them.",
        figures(found),
        ("aiohttp", "nats-py"),
    )


def figures(found: Found) -> list[Figure]:
    """Times in ms."""
    limit = WARM_SECONDS * 1000

    def ms(seconds: float) -> float:
        return round(seconds * 1000, 1)

    return [
        Figure(name="load of the machine meanwhile (other work included)", value=round(found.load, 1)),
        Figure(name="newest page, p50", value=ms(percentile(found.newest, 50)), unit="ms"),
        Figure(
            name="newest page, the gateway's processor time",
            value=ms(found.cpu_of_newest / len(found.newest)),
            unit="ms",
        ),
        at_most("newest page, p99", ms(percentile(found.newest, 99)), limit, "ms"),
        at_most("newest page after a job changed, p99", ms(percentile(found.changed, 99)), limit, "ms"),
        at_most("pages all along the list, p99", ms(percentile(found.anywhere, 99)), limit, "ms"),
        Figure(
            name="pages all along the list, the gateway's processor time",
            value=ms(found.cpu_of_anywhere / len(found.anywhere)),
            unit="ms",
        ),
        at_most(
            f"first page after a restart, the longest of {RESTARTS}",
            ms(max(found.cold)),
            COLD_SECONDS * 1000,
            "ms",
        ),
        at_most(
            "other requests beside it, p99", ms(percentile(found.beside, 99)), BESIDE_SECONDS * 1000, "ms"
        ),
        Figure(name="other requests beside it, the longest", value=ms(max(found.beside)), unit="ms"),
    ]


async def _measured(folder: Path, jobs: int) -> Found:
    options = StackOptions(
        data=folder,
        port=free_port(),
        username=USER,
        password="bench",
        environ=SETTINGS,
        runtime_url="http://127.0.0.1:9",  # nothing is transcribed
    )
    async with local_stack(options, lambda _sentence: None) as stack, _operator(stack) as bus:
        records = [_record(number, user) for number in range(jobs) for user in (USER, OTHER)]
        await _stored(bus, records)
        mine = [record for record in records if record.user == USER]
        cold, beside = [], []
        for _ in range(RESTARTS):
            await _restarted(stack)
            async with logged_in(stack.url, USER, "bench") as api:
                took, others = await _first(api)
            cold.append(took)
            beside += others
        async with logged_in(stack.url, USER, "bench") as api:
            pid = stack.supervisor.pid("gateway")
            await _page(api)
            at_first = processor_seconds(pid)
            newest = [await _page(api) for _ in range(CALLS)]
            after_newest = processor_seconds(pid)
            changed = [await _after_change(api, bus, random.choice(mine)) for _ in range(CALLS)]
            before_anywhere = processor_seconds(pid)
            return Found(
                newest=newest,
                changed=changed,
                anywhere=await _all_along(api, jobs),
                cold=cold,
                beside=beside,
                cpu_of_newest=after_newest - at_first,
                cpu_of_anywhere=processor_seconds(pid) - before_anywhere,
                load=os.getloadavg()[0],
            )


def _record(number: int, user: str) -> JobRecord:
    made = time.time() - DAY_SECONDS + number
    return JobRecord(
        id=job_id(user, str(number)),
        owner=owner_token(user),
        user=user,
        session=f"session-{number // 100}",
        name=f"recording {number}.mp3",
        options=JobOptions(language="en"),
        created_at=made,
        lane=Lane.SHORT,
        upload=UploadState.STORED,
        upload_bytes=1_000_000,
        sha256="0" * 64,
        state=JobState.COMPLETED,
        started_at=made + 1,
        ended_at=made + 10,
        duration=16_000 * 60,
    )


async def _stored(bus: Bus, records: Sequence[JobRecord]) -> None:
    """Keep the order roughly; a job's place in the stream is that of its last change."""
    places = asyncio.Semaphore(AT_ONCE)

    async def store(record: JobRecord) -> None:
        async with places:
            await bus.create(topology.job_record(record.owner, record.id), msgspec.json.encode(record))

    async with asyncio.TaskGroup() as group:
        for record in records:
            group.create_task(store(record))


async def _restarted(stack: Stack) -> None:
    await stack.supervisor.kill("gateway")
    await stack.supervisor.revive("gateway")
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError, AssertionError):
                async with logged_in(stack.url, USER, "bench"):
                    return
            await asyncio.sleep(PAUSE_SECONDS)


async def _first(api: Api) -> tuple[float, list[float]]:
    """The first page, and what other requests take until it is there."""
    page = asyncio.create_task(_page(api))
    others = []
    while not page.done():
        others.append(await _timed(api, "/v1/me"))
        await asyncio.sleep(PAUSE_SECONDS)
    return await page, others


async def _page(api: Api) -> float:
    return await _timed(api, "/v1/jobs", limit="50")


async def _after_change(api: Api, bus: Bus, record: JobRecord) -> float:
    subject = topology.job_record(record.owner, record.id)
    stored = await bus.last("KV_JOB", subject)
    assert stored is not None
    await bus.replace(subject, stored.data, expected=stored.sequence)
    return await _page(api)


async def _all_along(api: Api, jobs: int) -> list[float]:
    """Every page, from the newest to the oldest."""
    took: list[float] = []
    cursor, seen = None, 0
    while cursor or not took:
        query = {"limit": "50", **({"after": cursor} if cursor else {})}
        began = time.perf_counter()
        status, body = await api.get("/v1/jobs", **query)
        took.append(time.perf_counter() - began)
        assert status == 200, body
        seen += len(body["jobs"])
        cursor = body["next"]
    assert seen == jobs, f"{seen} of {jobs} jobs are listed"
    return took


async def _timed(api: Api, path: str, **query: str) -> float:
    began = time.perf_counter()
    status, body = await api.get(path, **query)
    assert status == 200, body
    return time.perf_counter() - began


@contextlib.asynccontextmanager
async def _operator(stack: Stack) -> AsyncIterator[Bus]:
    async with connect(stack.operator, "operator", MINIMUM_SERVER) as bus:
        yield bus


if __name__ == "__main__":
    main()
