"""One ffmpeg process: what it may open, how much it may use, and that it never outlives its job.

Its input is hostile until proven otherwise. By default ffmpeg follows playlists to local files and to
HTTP addresses; with these whitelists none of 25 such files made it open or connect to anything. A 100 KB
WAV can ask for 801 MB of memory, a 700-byte M4A for 1.2 GB: hence the limits on its address space. And a
decoder that a file has taken over finds itself in the sandbox.
"""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO

import msgspec

from services.chunker.sandbox import Sandbox, environ
from services.contracts.inference import SAMPLE_RATE

MIB = 1024**2

DEMUXERS = "mp3,wav,w64,flac,ogg,matroska,mov,aac,aiff,caf,amr,asf,mpegts,avi,flv"
DECODERS = (
    "aac,aac_latm,mp3,mp3float,mp2,mp2float,flac,opus,libopus,vorbis,alac,amrnb,amrwb,wmav1,wmav2,ac3,eac3,"
    "pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_u8,pcm_s16be,pcm_s24be,pcm_s32be,pcm_alaw,pcm_mulaw"
)
LOG_BYTES = 32 * 1024
"""Kept of the beginning and of the end of what ffmpeg says."""
READ_BYTES = 256 * 1024
BANNER = "ffmpeg version"
"""What ffmpeg says first; libraries may be heard before, and a program that does not start never says it."""


class DecodeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one recording may cost, and what its decoder is kept from."""

    sandbox: Sandbox
    duration_seconds: float = 86_400.0
    """Longest recording, in seconds of sound."""
    memory_bytes: int = 640 * MIB
    """Address space of the decoder. The index of a 24-hour M4A needs more than 512 MiB of it, and 264 MB of
    memory; other recordings take 66 MB."""
    cpu_seconds: int = 3_600
    """Processor time of the decoder; 10 hours of MP3 take about 55."""
    stall_seconds: float = 60.0
    """How long the decoder may neither take nor give a byte while it has input."""


class Log:
    """The beginning and the end of a process's stderr, however much it says."""

    def __init__(self) -> None:
        self._start = b""
        self._end = b""

    def add(self, data: bytes) -> None:
        """The next bytes."""
        room = LOG_BYTES - len(self._start)
        self._start += data[:room]
        self._end = (self._end + data[room:])[-LOG_BYTES:] if len(data) > room else self._end

    def text(self) -> str:
        """Both parts; bytes that are no UTF-8 are replaced."""
        return (self._start + self._end).decode(errors="replace")

    @property
    def of_ffmpeg(self) -> bool:
        """Whether ffmpeg itself has spoken, so that what came of it is its verdict on the file."""
        return BANNER in self.text()


class Child(msgspec.Struct, frozen=True):
    """The running process, and the task that collects what it says."""

    process: asyncio.subprocess.Process
    log: Log
    listener: asyncio.Task[None]

    async def ended(self) -> int:
        """Wait for its end, which its closed stdout announced; its exit code, negative for a signal."""
        await self.listener
        return await self.process.wait()


@asynccontextmanager
async def ffmpeg(
    stdin: IO[bytes] | None, limits: DecodeLimits, *, split: bool = False
) -> AsyncIterator[Child]:
    """Decode `stdin`, or what the process is fed where it is None, to 16 kHz int16 on its stdout.

    That is all channels mixed to one, bare; with `split` a Sun AU file, whose header counts the channels.
    """
    process = await asyncio.create_subprocess_exec(
        *limits.sandbox.command(_arguments(spooled=stdin is not None, split=split)),
        env=environ(),
        stdin=asyncio.subprocess.PIPE if stdin is None else stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=READ_BYTES,
    )
    log = Log()
    listener = asyncio.create_task(_listen(process, log))
    try:
        _limit(process.pid, limits)
        yield Child(process, log, listener)
    finally:
        await _end(process, listener)


def _arguments(*, spooled: bool, split: bool) -> list[str]:
    source, protocols = ("/dev/fd/0", "file,pipe") if spooled else ("pipe:0", "pipe")
    opening = ["-threads", "1", "-protocol_whitelist", protocols, "-format_whitelist", DEMUXERS]
    opening += ["-codec_whitelist", DECODERS, "-max_streams", "32", "-vn", "-sn", "-dn", "-i", source]
    form = ["-map_metadata", "-1", "-f", "au"] if split else ["-ac", "1", "-f", "s16le"]
    output = ["-map", "0:a:0", "-ar", str(SAMPLE_RATE), *form, "-flush_packets", "0"]
    return ["-nostats", "-nostdin", "-loglevel", "info", *opening, *output, "pipe:1"]


def _limit(pid: int, limits: DecodeLimits) -> None:
    """Bound the process from outside, before it was fed: a hook between fork and exec is not thread-safe."""
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(ProcessLookupError):
        for kind, bound in bounds.items():
            resource.prlimit(pid, kind, (bound, bound))


async def _listen(process: asyncio.subprocess.Process, log: Log) -> None:
    assert process.stderr is not None  # noqa: S101  # it was asked for
    while data := await process.stderr.read(READ_BYTES):
        log.add(data)


async def _end(process: asyncio.subprocess.Process, listener: asyncio.Task[None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    while process.stdout is not None and await process.stdout.read(READ_BYTES):
        pass  # asyncio closes a pipe only at its end, and without that leaks it
    await process.wait()
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
