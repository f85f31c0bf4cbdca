"""Processor time and memory of chunking against bare ffmpeg decoding, for 10 minutes to 10 hours.

Both run as processes of their own, one after the other, each on every file; processor time is user and
system time of the process and its children, memory the largest resident set of one process.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from bench.report import Figure, at_most, publish
from bench.speech import talk
from services.chunker import sandbox
from services.chunker.child import DecodeLimits
from services.chunker.chunks import ReadyChunk, Tools, chunks
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from testmodel.speech import ESPEAK_RATE

WORK = Path(__file__).parent / "work"
MINUTES = {"10 min": 10, "1 h": 60, "10 h": 600}
ENCODERS = {
    "mp3": ("-c:a", "libmp3lame", "-b:a", "128k", "-ar", "44100", "-ac", "2"),
    "m4a": ("-c:a", "aac", "-b:a", "96k", "-ar", "44100", "-ac", "2", "-f", "ipod"),
}
"""What phones and recorders make; the m4a keeps its index at its end."""
RATIO = 3.2
MEMORY_MIB = 140
PART_BYTES = 512 * 1024
"""Size of an upload's parts."""


class Cost(msgspec.Struct, frozen=True):
    """What one run took."""

    cpu_seconds: float
    memory_mib: float
    first_chunk_seconds: float = 0.0
    chunks: int = 0


def main() -> None:
    """Measure the lengths named on the command line, by default all."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--chunk", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--repeats", type=int, default=3, help="runs of each file; the least time counts")
    arguments.add_argument("lengths", nargs="*", default=list(MINUTES), help=", ".join(MINUTES))
    chosen = arguments.parse_args()
    if chosen.chunk:
        sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_chunked(chosen.chunk))))
        return
    figures = [
        f for fmt in ENCODERS for length in chosen.lengths for f in compare(fmt, length, chosen.repeats)
    ]
    title = (
        "Chunking (Silero cuts, FLAC) against ffmpeg decoding the same file to 16 kHz mono and nothing else."
    )
    publish("chunker", title, figures, ("onnxruntime", "numpy", "soundfile", "silero-vad"))


def compare(fmt: str, length: str, repeats: int) -> list[Figure]:
    """Figures of one file: the least of the repeats, run in turn, so that other load strikes both alike."""
    path = recording(fmt, MINUTES[length])
    floors, ours = [], []
    for _ in range(repeats):
        floors.append(floor(path))
        ours.append(chunker(path))
    bare = min(cost.cpu_seconds for cost in floors)
    mine = min(cost.cpu_seconds for cost in ours)
    memory = max(cost.memory_mib for cost in ours)
    name = f"{fmt}, {length}"
    ratio = Figure(name=f"{name}: CPU ratio", value=mine / bare)
    if MINUTES[length] >= 60:
        ratio = at_most(f"{name}: CPU ratio", mine / bare, RATIO)
    return [
        ratio,
        Figure(name=f"{name}: CPU, ffmpeg alone", value=bare, unit="s"),
        at_most(f"{name}: memory of the Python process", memory, MEMORY_MIB, "MiB"),
        Figure(name=f"{name}: first chunk after", value=min(c.first_chunk_seconds for c in ours), unit="s"),
        Figure(name=f"{name}: chunks", value=ours[0].chunks),
    ]


def floor(path: Path) -> Cost:
    """ffmpeg alone, from a file into nothing."""
    output = ("-map", "0:a:0", "-ac", "1", "-ar", "16000", "-f", "s16le", os.devnull)
    command = ["ffmpeg", "-y", "-v", "error", "-nostdin", "-threads", "1", "-i", str(path), *output]
    with subprocess.Popen(command) as process:
        return _cost(process)


def chunker(path: Path) -> Cost:
    """The chunker in an interpreter of its own, its start included."""
    command = [sys.executable, "-m", "bench.chunker", "--chunk", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = msgspec.json.decode(process.stdout.read(), type=Cost)
        whole = _cost(process)
    return Cost(whole.cpu_seconds, told.memory_mib, told.first_chunk_seconds, told.chunks)


def recording(fmt: str, minutes: int) -> Path:
    """A file of speech of this length: 10 minutes are spoken, longer ones repeat them."""
    path = WORK / f"talk{minutes}.{fmt}"
    WORK.mkdir(exist_ok=True)
    if not path.exists():
        partial = path.with_suffix(f".part.{fmt}")
        loop = ("-stream_loop", str(minutes // 10 - 1))
        command = ["ffmpeg", "-y", "-v", "error", *loop, "-i", str(_spoken(fmt)), "-c", "copy"]
        subprocess.run([*command, *(("-f", "ipod") if fmt == "m4a" else ()), str(partial)], check=True)
        partial.rename(path)
    return path


def _spoken(fmt: str) -> Path:
    path = WORK / f"spoken.{fmt}"
    if not path.exists():
        signal = talk(600, seed=1, pauses=(0.25, 1.2)).signal[: 600 * ESPEAK_RATE]
        sound = ("-f", "f32le", "-ar", str(ESPEAK_RATE), "-ac", "1", "-i", "pipe:0")
        command = ["ffmpeg", "-y", "-v", "error", *sound, *ENCODERS[fmt], str(path)]
        subprocess.run(command, input=signal.tobytes(), check=True)
    return path


async def _chunked(path: Path) -> Cost:
    tools = Tools(
        model=SpeechModel(), spool=Spool(WORK, 20 * 1024**3), limits=DecodeLimits(sandbox=sandbox.tried())
    )
    begun, first, count = time.perf_counter(), 0.0, 0
    async for item in chunks(_parts(path), tools):
        if isinstance(item, ReadyChunk):
            first = first or time.perf_counter() - begun
            count += 1
    return Cost(0.0, _peak_mib(), first, count)


async def _parts(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            yield part


def _peak_mib() -> float:
    """Largest resident set of this process; getrusage would count that of the process it was forked from."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _cost(process: subprocess.Popen[bytes]) -> Cost:
    """Wait for a child; what it and its own children used."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the measured process ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
