"""Times taken in turns, so that what else the machine does falls on all alike."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Work = Callable[[], object]


def clock(device: torch.device) -> float:
    """Seconds of the processor, where others' work does not count; of the wall with a GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def interleaved(works: Mapping[str, Work], rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each work, all of them once a round."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begun = clock(device)
            work()
            taken[name].append(clock(device) - begun)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
