"""Real ffmpeg against good, bad and hostile files: bounded, isolated, and gone when its job is."""

import asyncio
import os
import random
import resource
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import psutil
import pytest

from services.chunker import sandbox
from services.chunker.child import DecodeLimits, ffmpeg
from services.chunker.decode import BLOCK_SAMPLES, Decoding, decoded
from services.chunker.problems import BadRecording
from services.chunker.promise import Promise
from services.chunker.spool import Spool
from services.common.errors import StorageFull
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import Problem
from tests.decoder import limits, limits_with
from tests.decoder_peak import peak_of
from tests.fuzz.bombs import playlists, wav
from tests.speech import recording

LIMITS = limits()
MIB = 1024**2


async def pieces(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def forever(data: bytes) -> AsyncIterator[bytes]:
    """`data`, and then a client that neither sends nor hangs up."""
    yield data
    await asyncio.Event().wait()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    directory = tmp_path / "spool"
    directory.mkdir()
    return Spool(directory, 100 * MIB)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Half a minute of speech in a few formats."""
    folder = tmp_path_factory.mktemp("speech")
    files = {}
    for fmt in ("mp3", "m4a", "m4a_faststart", "webm", "flac", "aac", "mp4"):
        recording(folder / fmt, seconds=25, seed=5, fmt=fmt)
        files[fmt] = (folder / fmt).read_bytes()
    return files


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test may leave a child process."""
    yield
    assert ffmpegs() == []


def ffmpegs() -> list[psutil.Process]:
    """Decoders of this process, also those that are not ffmpeg yet."""
    decoders = {sandbox.LAUNCHER.name, LIMITS.sandbox.decoder}
    return [child for child in psutil.Process().children() if decoders & _words(child)]


def _words(process: psutil.Process) -> set[str]:
    """Of its command line, with the launcher by its name alone."""
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return set()
    return {*words, *(Path(word).name for word in words)}


async def decode(
    data: bytes, spool: Spool, *, size: int = 65_536, limits: DecodeLimits = LIMITS
) -> tuple[list[int], Problem | None]:
    """Lengths of all blocks, and the problem at the end."""
    async with decoded(pieces(data, size), limits, spool) as decoding:
        lengths = [len(block) async for block in decoding.blocks()]
        assert sum(lengths) == decoding.samples
        return lengths, decoding.problem


async def refused(data: bytes, spool: Spool, *, size: int = 65_536) -> str:
    with pytest.raises(BadRecording) as caught:
        await decode(data, spool, size=size)
    assert len(str(caught.value)) > 40
    return caught.value.code


@pytest.mark.parametrize("fmt", ["mp3", "m4a"])
async def test_blocks_do_not_depend_on_the_sizes_of_the_pieces(
    speech: dict[str, bytes], spool: Spool, fmt: str
) -> None:
    lengths = [(await decode(speech[fmt], spool, size=size))[0] for size in (777, 65_536, 10 * MIB)]
    assert lengths[0] == lengths[1] == lengths[2]
    assert set(lengths[0][:-1]) == {BLOCK_SAMPLES}


async def test_no_bytes_are_an_empty_file(spool: Spool) -> None:
    assert await refused(b"", spool) == "empty_file"


async def test_noise_and_text_are_no_audio(spool: Spool) -> None:
    assert await refused(random.Random(1).randbytes(20_000), spool) == "not_audio"
    assert await refused(b"Dear Sir or Madam,\n" * 2000, spool) == "not_audio"


async def test_what_the_decoder_gives_up_before_it_took_all_of_it_is_not_called_empty(spool: Spool) -> None:
    assert await refused(b"\x93\x05" * 1_000_000, spool, size=2_000_000) == "not_audio"


@pytest.mark.parametrize(("fmt", "codec"), [("mp4", "mpeg4"), ("webm", "libvpx")])
async def test_a_video_without_sound_is_named_as_such(spool: Spool, fmt: str, codec: str) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc=duration=2:size=64x64:rate=5", "-c:v", codec]
    form = ["-movflags", "frag_keyframe+empty_moov"] if fmt == "mp4" else []
    maker = await asyncio.create_subprocess_exec(
        "ffmpeg", "-v", "error", *picture, *form, "-f", fmt, "pipe:1", stdout=asyncio.subprocess.PIPE
    )
    silent, _ = await maker.communicate()
    assert await refused(silent, spool) == "no_sound_track"


async def test_a_truncated_mp3_gives_its_sound_and_says_where_it_ends(
    speech: dict[str, bytes], spool: Spool
) -> None:
    whole = speech["mp3"]
    lengths, problem = await decode(whole[: len(whole) * 6 // 10], spool)
    assert sum(lengths) / SAMPLE_RATE == pytest.approx(0.6 * 26, abs=2)
    assert problem is not None
    assert problem.code == "cut_short"
    assert "cut short at 00:1" in problem.message


@pytest.mark.parametrize("fmt", ["m4a_faststart", "webm", "flac", "aac"])
async def test_other_truncated_files_say_so_too(speech: dict[str, bytes], spool: Spool, fmt: str) -> None:
    whole = speech[fmt]
    lengths, problem = await decode(whole[: len(whole) * 6 // 10 - 5], spool)
    assert sum(lengths) > 10 * SAMPLE_RATE
    assert problem is not None
    assert problem.code == "cut_short"


@pytest.mark.parametrize("fmt", ["mp3", "m4a", "m4a_faststart", "webm", "flac", "aac", "mp4"])
async def test_a_whole_file_is_not_called_cut_short(speech: dict[str, bytes], spool: Spool, fmt: str) -> None:
    assert (await decode(speech[fmt], spool))[1] is None


async def test_a_file_that_lost_its_index_with_its_end_is_named_as_such(
    speech: dict[str, bytes], spool: Spool
) -> None:
    assert await refused(speech["m4a"][:-5000], spool) == "index_missing"


async def test_the_limit_of_length_keeps_what_came_before(speech: dict[str, bytes], spool: Spool) -> None:
    limits = limits_with(duration_seconds=15)
    async with decoded(forever(speech["mp3"]), limits, spool) as decoding:
        blocks = [block async for block in decoding.blocks()]
    assert sum(map(len, blocks)) == 15 * SAMPLE_RATE
    assert decoding.problem is not None
    assert decoding.problem.code == "too_long"
    assert "00:15" in decoding.problem.message


async def test_a_spooled_file_leaves_nothing_on_disk(speech: dict[str, bytes], tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100 * MIB)
    async with decoded(pieces(speech["m4a"]), LIMITS, spool) as decoding:
        assert spool.used_bytes == len(speech["m4a"]) == decoding.source_bytes
        assert os.listdir(tmp_path) == []  # noqa: PTH208  # the one question about an unlinked file
    assert spool.used_bytes == 0


async def test_the_disk_budget_is_for_all_files_together(speech: dict[str, bytes], tmp_path: Path) -> None:
    whole = speech["m4a"]
    spool = Spool(tmp_path, len(whole) * 3 // 2)
    async with decoded(pieces(whole), LIMITS, spool):
        with pytest.raises(StorageFull):
            await decode(whole, spool)
    assert sum((await decode(whole, spool))[0])
    with pytest.raises(BadRecording) as caught:
        await decode(whole, Spool(tmp_path, len(whole) // 2))
    assert caught.value.code == "spool_too_small"


async def test_a_consumer_that_goes_away_takes_the_decoder_along(
    speech: dict[str, bytes], spool: Spool
) -> None:
    """Thirty abandoned recordings leave no process and no open file."""
    await abandon(speech["mp3"], spool)
    before = psutil.Process().num_fds()
    for _ in range(30):
        await abandon(speech["mp3"], spool)
        assert ffmpegs() == []
    assert psutil.Process().num_fds() <= before


async def abandon(data: bytes, spool: Spool) -> None:
    """Cancel a task in the middle of a recording whose upload is still under way."""
    begun = asyncio.Event()

    async def consume() -> None:
        async with decoded(forever(data), LIMITS, spool) as decoding:
            async for _ in decoding.blocks():
                begun.set()

    task = asyncio.create_task(consume())
    async with asyncio.timeout(20):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_source_raises_reaches_the_consumer(speech: dict[str, bytes], spool: Spool) -> None:
    """The sound before it comes out, but its last block is not mistaken for the end of the recording."""

    async def failing() -> AsyncIterator[bytes]:
        yield speech["mp3"][:-10_000]
        raise ConnectionResetError("the broker went away")

    lengths = []
    async with decoded(failing(), LIMITS, spool) as decoding:
        with pytest.raises(ConnectionResetError, match="broker"):
            lengths = [len(block) async for block in decoding.blocks()]
    assert lengths == []
    assert decoding.problem is None


async def test_a_hopeless_upload_is_refused_while_it_still_arrives(spool: Spool) -> None:
    async with asyncio.timeout(20), decoded(forever(bytes(8 * MIB)), LIMITS, spool) as decoding:
        with pytest.raises(BadRecording):
            [block async for block in decoding.blocks()]


async def test_a_decoder_that_stands_still_is_given_up(speech: dict[str, bytes], spool: Spool) -> None:
    limits = limits_with(stall_seconds=2)
    async with decoded(pieces(speech["flac"]), limits, spool) as decoding:
        [child] = ffmpegs()
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(BadRecording) as caught:
            [block async for block in decoding.blocks()]
    assert caught.value.code == "decoder_stalled"


async def test_a_slow_upload_is_not_a_standstill(speech: dict[str, bytes], spool: Spool) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield speech["mp3"][:2000]
        await asyncio.sleep(3)
        yield speech["mp3"][2000:]

    async with decoded(slow(), limits_with(stall_seconds=2), spool) as decoding:
        assert sum([len(block) async for block in decoding.blocks()]) > 20 * SAMPLE_RATE
    assert decoding.problem is None


async def test_the_decoder_runs_under_limits() -> None:
    async with ffmpeg(None, LIMITS) as child:
        pid = child.process.pid
        assert resource.prlimit(pid, resource.RLIMIT_AS) == (640 * MIB, 640 * MIB)
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (32, 32)
        assert resource.prlimit(pid, resource.RLIMIT_CPU) == (3600, 3600)


async def test_the_decoder_inherits_no_secret() -> None:
    async with ffmpeg(None, LIMITS) as child:
        found = await asyncio.to_thread(Path(f"/proc/{child.process.pid}/environ").read_bytes)
    assert {entry.split(b"=")[0] for entry in found.split(b"\0") if entry} <= {b"PATH", b"LD_LIBRARY_PATH"}


async def test_a_decoder_over_its_processor_time_keeps_what_it_gave(
    speech: dict[str, bytes], spool: Spool
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield speech["mp3"]

    limits = limits_with(cpu_seconds=1, duration_seconds=1e6)
    async with asyncio.timeout(60), decoded(endless(), limits, spool) as decoding:
        assert sum([len(block) async for block in decoding.blocks()]) > 60 * SAMPLE_RATE
    assert decoding.problem is not None
    assert decoding.problem.code == "decoder_stopped"


async def test_small_files_that_ask_for_much_memory_are_refused() -> None:
    """Without limits the first takes 1.2 GB. Of the last, a day of one sample a second, ffmpeg 5 would take
    801 MB, and is refused them; ffmpeg 7 gives it as it goes."""
    peak = await peak_of("50 million samples", "5000 tracks", "1000 channels", "1 Hz")
    assert None not in peak.codes.values()
    assert peak.codes["1 Hz"] in ("undecodable", "too_long")
    assert 0 < peak.bytes <= 640 * MIB


class Canary:
    """A sound file and a web server that nobody may ever touch."""

    def __init__(self, folder: Path, server: ThreadingHTTPServer) -> None:
        self.file = folder / "canary.wav"
        self.url = f"http://127.0.0.1:{server.server_port}/canary.wav"
        self.folder = folder
        self.requests: list[str] = []

    def playlists(self) -> dict[str, str]:
        """Files that make a careless decoder read `file` or fetch `url`."""
        return playlists(self.file, self.url)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requests.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Canary(tmp_path, server)
        tone = np.sin(np.arange(9 * SAMPLE_RATE) / 9) * 9000
        data = tone.astype(np.int16).tobytes()
        found.file.write_bytes(wav(rate=SAMPLE_RATE, channels=2, data=data))
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


async def test_no_playlist_is_followed(canary: Canary, spool: Spool) -> None:
    """Neither as users send it, nor where it gets past the first look and to the decoder itself."""
    for name, text in canary.playlists().items():
        await refused(text.encode(), spool)
        for spooled in (False, True):
            with pytest.raises(BadRecording):
                await decode_blindly(text.encode(), canary.folder / f"{name}.mp3", spooled=spooled)
    assert canary.requests == []


async def decode_blindly(data: bytes, path: Path, *, spooled: bool) -> None:
    """Give `data` to the decoder without looking at it."""
    await asyncio.to_thread(path.write_bytes, data)
    with await asyncio.to_thread(path.open, "rb") as file:
        async with asyncio.timeout(20), ffmpeg(file if spooled else None, LIMITS) as child:
            decoding = Decoding(child, LIMITS, Promise())
            if spooled:
                [block async for block in decoding.blocks()]
            async with decoding.fed(pieces(data)):
                [block async for block in decoding.blocks()]


def test_a_careless_decoder_would_follow_them(canary: Canary) -> None:
    """The canaries sing: the same files do lead ffmpeg astray when it is given a path and no whitelist."""
    playlist = canary.folder / "song.mp3"
    playlist.write_text(canary.playlists()["concat_file"])
    naive = subprocess.run(
        ["ffmpeg", "-v", "quiet", "-i", str(playlist), "-f", "s16le", "pipe:1"],
        capture_output=True,
        check=False,
    )
    assert len(naive.stdout) > SAMPLE_RATE
    hls = canary.folder / "radio.m3u8"  # ffmpeg 7.1 takes no other name for one
    hls.write_text(canary.playlists()["hls_http"])
    allowed = ["-protocol_whitelist", "file,http,tcp"]
    subprocess.run(["ffmpeg", "-v", "quiet", *allowed, "-i", str(hls), "-f", "null", os.devnull], check=False)
    assert canary.requests
