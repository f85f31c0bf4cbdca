"""What decoders do and take while hostile files go through them."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec
import psutil

from services.chunker.sandbox import LIBRARIES

CALLS = "openat,open,creat,socket,connect,bind"
OWN_INPUT = "/dev/fd/0"
"""A file that was spooled is opened again by its descriptor's name."""
LOOK_SECONDS = 0.05

_LINE = re.compile(r"^\d+<ffmpeg> (\w+)\((.*)\) += (-?\d+)")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


def tracer(output: Path) -> tuple[str, ...]:
    """The command that a chunker runs under, so that every such call of its decoders is written down."""
    # as a grandchild, so that the chunker keeps its parent, its process id and its signals
    options = ("-D", "-f", "--seccomp-bpf", "--decode-pids=comm", "-qq", "--signal=none")
    return ("strace", *options, "-e", f"trace={CALLS}", "-o", str(output))


def trespasses(lines: Iterable[str]) -> tuple[int, list[str]]:
    """How many calls decoders made, and those that opened or reached what they must not."""
    calls, found = 0, []
    for line in lines:
        if (match := _LINE.match(line)) is None:
            continue
        calls += 1
        name, arguments, answer = match[1], match[2], int(match[3])
        path = _PATH.search(arguments)
        opens = name in ("openat", "open", "creat") and path is not None
        if not opens or (answer >= 0 and path is not None and not _allowed(path[1])):
            found.append(line.strip()[:200])
    return calls, found


def _allowed(path: str) -> bool:
    inside = any(path == library or path.startswith(f"{library}/") for library in LIBRARIES)
    return path == OWN_INPUT or (inside and "/../" not in path)


class Taken(msgspec.Struct):
    """The most that any one decoder was seen to take since the last `reset`."""

    memory_mib: float = 0.0
    cpu_seconds: float = 0.0


class Meter:
    """Looks at the decoders of a chunker again and again."""

    def __init__(self, chunker: int) -> None:
        self._chunker = psutil.Process(chunker)
        self.taken = Taken()

    def reset(self) -> Taken:
        """What was seen so far; what comes now is counted anew."""
        before, self.taken = self.taken, Taken()
        return before

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while the context is open."""
        looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        for child in self._chunker.children():
            with contextlib.suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
                if child.name() == "ffmpeg":
                    times = child.cpu_times()
                    self.taken.cpu_seconds = max(self.taken.cpu_seconds, times.user + times.system)
                    self.taken.memory_mib = max(self.taken.memory_mib, _peak_mib(child.pid))


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
