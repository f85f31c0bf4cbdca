"""What the local stack prints: each program's lines under its name, in a colour of its own."""

import os
import sys
import zlib
from collections.abc import Callable

Announce = Callable[[str], None]

COLOURS = (36, 32, 33, 35, 34, 96, 92, 95)
NAME_WIDTH = 12


def show(name: str, line: str) -> None:
    """Print one line of a program to stderr."""
    label = f"{name:<{NAME_WIDTH}}"
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        label = f"\033[{COLOURS[zlib.crc32(name.encode()) % len(COLOURS)]}m{label}\033[0m"
    print(f"{label} {line}", file=sys.stderr, flush=True)


def announce(sentence: str) -> None:
    """Say what the stack is doing."""
    show("stack", sentence)
