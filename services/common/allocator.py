"""glibc's allocator, told to give back what is freed.

By itself it learns from each large block that was freed to keep the next ones of that size in its heaps, and
it has a heap for every thread: a chunker that worked for a day held twice the memory it needed. Fixed
thresholds cost a system call for each large block.
"""

import asyncio.selector_events
import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
LARGE_BYTES = 128 * 1024
"""Blocks from this size on are mapped, and unmapped once they are freed: what glibc begins with. With twice
that a chunker still grew by a quarter in a day, as pieces of audio are about that large."""
HEAPS = 2
READ_BYTES = 96 * 1024
"""What a socket is read with at once. asyncio's own 256 KiB would be mapped and unmapped for each read,
however little came: a fifth of the time of a short request."""


def give_back() -> None:
    """From now on; other C libraries are left as they are."""
    asyncio.selector_events._SelectorSocketTransport.max_size = READ_BYTES  # type: ignore[attr-defined]  # typeshed lacks it
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)
    mallopt(M_ARENA_MAX, HEAPS)
