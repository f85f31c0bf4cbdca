"""Memory that is freed goes back to the system."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os
from services.common.allocator import give_back

def resident():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

if {given_back}:
    give_back()
del (bytearray(2**20))[:]                     # glibc learns from the first one
before = resident()
blocks = [bytearray(2**20) for _ in range(64)]
small = [bytearray(4096) for _ in range(64)]  # above them in a heap
del blocks
print((resident() - before) / 2**20)
"""


def kept_mib(*, given_back: bool) -> float:
    """MiB that a process still holds of 64 it has freed."""
    program = PROGRAM.format(given_back=given_back)
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return float(said)


def test_large_blocks_are_given_back_once_they_are_free() -> None:
    assert kept_mib(given_back=False) > 32, "glibc gives them back by itself by now: the module can go"
    assert kept_mib(given_back=True) < 8
