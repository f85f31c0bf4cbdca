"""Memory and processor time of running processes."""

import asyncio
from collections.abc import Mapping

import msgspec
import psutil

SAMPLES = 5
PAUSE_SECONDS = 1.0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What one process holds, bytes."""

    rss: int
    """Resident, what it shares with others included."""
    uss: int
    """What would be free again without it."""


def memory(pid: int) -> Memory:
    """Of one process, now."""
    found = psutil.Process(pid).memory_full_info()
    return Memory(rss=found.rss, uss=found.uss)


def processor_seconds(pid: int) -> float:
    """What a process has used since its start."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def settled(pids: Mapping[str, int]) -> dict[str, Memory]:
    """The least of some seconds, by name: a collection of garbage falls into them."""
    samples = []
    for _ in range(SAMPLES):
        samples.append({name: memory(pid) for name, pid in pids.items()})
        await asyncio.sleep(PAUSE_SECONDS)
    return {name: min((one[name] for one in samples), key=lambda one: one.uss) for name in pids}
