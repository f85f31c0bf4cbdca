"""Thousands of readers on one gateway: how late events come, what a reader costs, how soon news come again.

50 jobs run; each gets a chunk's plan and its text every 4 s, and all readers are spread over them. The same
bytes at the same pace go to as many readers of a bare aiohttp server, in turn with the gateway. Then the
broker is killed (-9) and started again: from the moment it is up until every reader has something new. Every
reader must have seen every event of its job once, and in order, through all of that.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench.load.crowd import Readers, reading
from bench.load.percentiles import percentile
from bench.load.processes import processor_seconds, settled
from bench.load.reader_process import Seen
from bench.load.traffic import Job, run, running_job, store
from bench.report import Figure, Table, at_most, publish
from services.common.bus import Bus, connect
from services.common.logs import configure
from services.contracts.topology import MINIMUM_SERVER, Stream
from services.dev.local import ROOT, Stack, StackOptions, local_stack
from services.dev.nats_server import NatsServer
from services.dev.processes import child, free_port

WORK = Path(__file__).parents[1] / "work"
USER, PASSWORD = "admin", "bench"
JOBS = 50
READERS = (1000, 4000)
CLUSTER_READERS = 1000
WARM_UP_READERS = 100
SECONDS = 30.0
CALM_SECONDS = 3.0
DOWN_SECONDS = 1.0
LIMIT_SECONDS = 60.0
BYTES_A_READER = 40_000
RECOVERY_SECONDS = 2.0
CLUSTER_RECOVERY_SECONDS = 10.0
SETTINGS = {
    "LOG_LEVEL": "warning",
    "MAX_STREAMS": "5000",
    "ORPHAN_SECONDS": "86400",
    "JANITOR_SECONDS": "3600",
}
"""The jobs have no commands: the benchmark itself does the work."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How one server told its readers what happened."""

    readers: int
    latencies: list[float]
    """Seconds from stored to received, of each event at each reader."""
    cpu_seconds: float
    """Processor time of the server meanwhile."""
    bytes_a_reader: float


def main() -> None:
    """Run it and write results/load.readers.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, nargs="+", default=READERS)
    parser.add_argument("--alone", action="store_true", help="without the cluster of three")
    asked = parser.parse_args()
    configure("bench", "warning")
    WORK.mkdir(exist_ok=True)
    figures, rows = asyncio.run(_measured(asked.readers, alone=asked.alone))
    publish(
        "load.readers",
        f"Readers of {JOBS} running jobs on one gateway, beside a bare aiohttp server that is given the same "
        "bytes; recovery is from the broker being up again to the last reader having news.",
        figures,
        ("aiohttp", "nats-py", "psutil"),
        tables=[Table(title="Each server in turn:", heads=HEADS, rows=tuple(rows))],
    )


async def _measured(counts: Sequence[int], *, alone: bool) -> tuple[list[Figure], list[tuple[str, ...]]]:
    figures: list[Figure] = []
    rows: list[tuple[str, ...]] = []
    async with _system(brokers=1) as stack, _connected(stack) as bus:
        for count in counts:
            bare = await _bare(stack, bus, count)
            ours, recovery = await _gateway(stack, bus, count, [("broker", kill_all)])
            rows += [_row("gateway", ours), _row("bare aiohttp", bare)]
            figures += _figures(ours, bare)
            figures += [_recovery(count, name, took, RECOVERY_SECONDS) for name, took in recovery]
            print("\n".join(" ".join(row) for row in rows), [f.value for f in figures], flush=True)
    if not alone:
        async with _system(brokers=3) as stack, _connected(stack) as bus:
            faults = [("leader of three", kill_leader), ("all three", kill_all)]
            _, recovery = await _gateway(stack, bus, CLUSTER_READERS, faults)
            limit = CLUSTER_RECOVERY_SECONDS
            figures += [_recovery(CLUSTER_READERS, name, took, limit) for name, took in recovery]
    load = round(os.getloadavg()[0], 1)
    return [*figures, Figure(name="load of the machine at the end (other work included)", value=load)], rows


HEADS = ("server", "readers", "p50 ms", "p99 ms", "CPU us an event", "KB a reader")


def _row(name: str, found: Delivery) -> tuple[str, ...]:
    return (
        name,
        f"{found.readers:,}",
        f"{percentile(found.latencies, 50) * 1000:.1f}",
        f"{percentile(found.latencies, 99) * 1000:.1f}",
        f"{_cpu_of_event(found) * 1e6:.0f}",
        f"{found.bytes_a_reader / 1000:.1f}",
    )


def _cpu_of_event(found: Delivery) -> float:
    return found.cpu_seconds / len(found.latencies)


def _figures(ours: Delivery, bare: Delivery) -> list[Figure]:
    name = f"{ours.readers:,} readers"
    late = percentile(ours.latencies, 99)
    return [
        Figure(name=f"{name}: stored to received, p99", value=round(late * 1000, 1), unit="ms"),
        Figure(
            name=f"{name}: p99 over the bare server's", value=round(late / percentile(bare.latencies, 99), 2)
        ),
        Figure(
            name=f"{name}: processor time an event over the bare server's",
            value=round(_cpu_of_event(ours) / _cpu_of_event(bare), 2),
        ),
        at_most(f"{name}: memory a reader", round(ours.bytes_a_reader), BYTES_A_READER, "bytes"),
    ]


def _recovery(count: int, name: str, took: float, limit: float) -> Figure:
    return at_most(f"{count:,} readers: recovery, {name} killed", round(took, 2), limit, "s")


async def _gateway(
    stack: Stack, bus: Bus, count: int, faults: Sequence[tuple[str, "Fault"]]
) -> tuple[Delivery, list[tuple[str, float]]]:
    """Deliver for a while, then go through the faults."""
    token = await _token(stack.url)
    port = int(stack.url.rpartition(":")[2])
    jobs = [Job(running_job(USER)) for _ in range(JOBS)]
    for job in jobs:
        await store(bus, job.record)
    paths = [f"/v1/jobs/{jobs[number % JOBS].record.id}/events" for number in range(count)]
    async with reading(port, token, paths[:WARM_UP_READERS]):
        await run(jobs, bus, CALM_SECONDS)
    pid = {"server": stack.supervisor.pid("gateway")}
    before = (await settled(pid))["server"].rss
    async with reading(port, token, paths) as readers:
        grown = (await settled(pid))["server"].rss - before
        cpu = await _cpu_of(pid["server"], lambda: run(jobs, bus, SECONDS))
        stored = await _stored(jobs, bus)
        seen = await _all_seen(readers, stored)
        recovery = [(name, await _recovered(stack, readers, jobs, fault)) for name, fault in faults]
        _check(await _all_seen(readers, await _stored(jobs, bus)), await _stored(jobs, bus))
    return Delivery(
        readers=count,
        latencies=_latencies(seen, stored),
        cpu_seconds=cpu,
        bytes_a_reader=grown / count,
    ), recovery


async def _bare(stack: Stack, bus: Bus, count: int) -> Delivery:
    port = free_port()
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NATS_NKEY_SEED": stack.operator.nats_nkey_seed,
        "LOG_LEVEL": "warning",
    }
    arguments = (sys.executable, "-m", "bench.load.bare_process", str(port), stack.operator.nats_url)
    jobs = [Job(running_job(USER)) for _ in range(JOBS)]
    paths = [f"/bare/{jobs[number % JOBS].record.id}" for number in range(count)]
    async with child(arguments, environ=environ) as process:
        pid = {"server": process.pid}
        async with reading(port, "none", paths[:WARM_UP_READERS]):
            await run(jobs, bus, CALM_SECONDS, bare=True)
        before = (await settled(pid))["server"].rss
        async with reading(port, "none", paths) as readers:
            grown = (await settled(pid))["server"].rss - before
            for job in jobs:
                job.sent_at.clear()
            cpu = await _cpu_of(process.pid, lambda: run(jobs, bus, SECONDS, bare=True))
            sent = {job.record.id: job.sent_at for job in jobs}
            seen = await _all_seen(readers, sent)
    return Delivery(
        readers=count, latencies=_latencies(seen, sent), cpu_seconds=cpu, bytes_a_reader=grown / count
    )


async def _cpu_of(pid: int, work: Callable[[], Awaitable[None]]) -> float:
    """Processor seconds of a process while something goes on, and the seconds of calm after it."""
    before = processor_seconds(pid)
    await work()
    await asyncio.sleep(CALM_SECONDS)
    return processor_seconds(pid) - before


Stored = dict[str, dict[int, float]]
"""When each event of each job was stored, by the job's id and the event's number."""


async def _stored(jobs: Sequence[Job], bus: Bus) -> Stored:
    return {job.record.id: await job.stored_at(bus) for job in jobs}


async def _all_seen(readers: Readers, stored: Stored) -> list[Seen]:
    """What everybody has seen, once everybody has seen everything."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            seen = await readers.seen()
            if all(_last(one) >= max(stored[_job(one)], default=0) for one in seen):
                return seen
            await asyncio.sleep(0.5)


def _last(seen: Seen) -> int:
    ids, _ = seen.events()
    return ids[-1] if ids else 0


def _job(seen: Seen) -> str:
    return seen.path.removesuffix("/events").rpartition("/")[2]


def _latencies(seen: Sequence[Seen], stored: Stored) -> list[float]:
    """Of what came live: what was stored before a reader opened is none of it."""
    found = []
    for one in seen:
        times = stored[_job(one)]
        ids, received = one.events()
        live = [(number, at) for number, at in zip(ids, received, strict=True) if number in times]
        opened = live[0][1] if live else 0.0
        found += [at - times[number] for number, at in live if times[number] > opened]
    return found


def _check(seen: Sequence[Seen], stored: Stored) -> None:
    """Everybody has seen each event of their job once, in order."""
    wrong: defaultdict[str, int] = defaultdict(int)
    for one in seen:
        ids, _ = one.events()
        wrong[_job(one)] += list(ids) != sorted(stored[_job(one)])
    if sum(wrong.values()):
        raise AssertionError(f"{sum(wrong.values())} of {len(seen)} readers missed events, or saw some twice")


Fault = Callable[[Stack, Bus], Awaitable[None]]


async def kill_all(stack: Stack, _bus: Bus) -> None:
    """kill -9 for every server at the same moment; they are up again when this returns."""
    await _killed(stack, stack.brokers)


async def kill_leader(stack: Stack, bus: Bus) -> None:
    """kill -9 for the server that leads the stream of results."""
    info = await bus.jetstream.stream_info(Stream.RES)
    leader = info.cluster.leader if info.cluster else None
    await _killed(stack, [server for server in stack.brokers if server.name == leader])


async def _killed(stack: Stack, servers: Sequence[NatsServer]) -> None:
    for server in servers:
        stack.supervisor.forget(server.name)
    await asyncio.gather(*(server.kill() for server in servers))
    await asyncio.sleep(DOWN_SECONDS)
    await asyncio.gather(*(server.start() for server in servers))
    for server in servers:
        assert server.process is not None
        stack.supervisor.watch(server.name, server.process)


async def _recovered(stack: Stack, readers: Readers, jobs: Sequence[Job], fault: Fault) -> float:
    """Seconds from the broker being up again until the last reader has an event stored after that."""
    async with _connected(stack) as bus:
        await fault(stack, bus)
        up = time.time()
    async with _connected(stack) as bus:  # its own connection costs no wait for a reconnect
        await asyncio.gather(*(job.advance(bus) for job in jobs))
        stored = await _stored(jobs, bus)
    seen = await _all_seen(readers, stored)
    await asyncio.sleep(CALM_SECONDS)
    return max(_first_after(one, stored[_job(one)], up) for one in seen) - up


def _first_after(seen: Seen, stored: dict[int, float], moment: float) -> float:
    """When the first event that was stored after this moment came."""
    ids, received = seen.events()
    return min(at for number, at in zip(ids, received, strict=True) if stored[number] > moment)


@contextlib.asynccontextmanager
async def _system(*, brokers: int) -> AsyncIterator[Stack]:
    with tempfile.TemporaryDirectory(dir=WORK, ignore_cleanup_errors=True) as folder:
        options = StackOptions(
            data=Path(folder),
            port=free_port(),
            username=USER,
            password=PASSWORD,
            brokers=brokers,
            environ=SETTINGS,
            runtime_url="http://127.0.0.1:9",  # nothing is transcribed
        )
        async with local_stack(options, lambda _sentence: None) as stack:
            yield stack


@contextlib.asynccontextmanager
async def _connected(stack: Stack) -> AsyncIterator[Bus]:
    async with connect(stack.operator, "operator", MINIMUM_SERVER) as bus:
        yield bus


async def _token(url: str) -> str:
    login = {"username": USER, "password": PASSWORD}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/login", json=login) as answer:
        return str((await answer.json())["access_token"])


if __name__ == "__main__":
    main()
