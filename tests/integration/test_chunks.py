"""From the bytes of real files to chunks: the same whatever the format and the network, and early."""

import asyncio
import hashlib
import io
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from blockbuster import blockbuster_ctx

from services.chunker.chunks import ReadyChunk, Recording, Tools, chunks
from services.chunker.cutting import Samples
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import ChunkCut, Range
from tests.decoder import limits
from tests.speech import BLACK_PICTURE, FORMATS, recording

MAX_CHUNK = 30 * SAMPLE_RATE


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return SpeechModel()


@pytest.fixture
def tools(model: SpeechModel, tmp_path: Path) -> Tools:
    return Tools(model=model, spool=Spool(tmp_path, 100_000_000), limits=limits())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 70 seconds of speech in every format, and with a minute of silence inside."""
    folder = tmp_path_factory.mktemp("recordings")
    recording(folder / "wav", seconds=70, seed=11, fmt="wav", rate=SAMPLE_RATE)
    for fmt in FORMATS.keys() - {"wav"}:
        encode(folder / "wav", folder / fmt, fmt)
    speech, _ = soundfile.read(folder / "wav", dtype="int16")
    silent = np.concatenate((speech[: 20 * SAMPLE_RATE], np.zeros(60 * SAMPLE_RATE, np.int16), speech))
    soundfile.write(folder / "silent", silent, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return folder


def encode(source: Path, path: Path, fmt: str) -> None:
    picture = BLACK_PICTURE if fmt == "mp4" else ()
    command = ["ffmpeg", "-v", "error", *picture, "-i", str(source), *FORMATS[fmt], str(path)]
    subprocess.run(command, check=True)


async def pieces(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def cut(
    data: bytes,
    tools: Tools,
    *,
    size: int = 65_536,
    skip_silence: bool = True,
    stored: Sequence[ChunkCut] = (),
) -> tuple[list[ReadyChunk], Recording]:
    found: list[ReadyChunk] = []
    async for item in chunks(pieces(data, size), tools, skip_silence=skip_silence, stored=stored):
        if isinstance(item, Recording):
            return found, item
        found.append(item)
    raise AssertionError("no Recording at the end")


def digest(found: list[ReadyChunk], whole: Recording) -> str:
    facts = [(c.number, c.start, c.end, c.skipped, hashlib.sha256(c.flac).hexdigest()) for c in found]
    return hashlib.sha256(repr((facts, whole)).encode()).hexdigest()


def samples(chunk: ReadyChunk) -> Samples:
    audio, rate = soundfile.read(io.BytesIO(chunk.flac), dtype="int16")
    assert rate == SAMPLE_RATE
    return np.asarray(audio, np.int16)


@pytest.mark.parametrize("fmt", FORMATS)
async def test_every_format_gives_the_same_length_and_its_chunks_never_vary(
    folder: Path, tools: Tools, fmt: str
) -> None:
    data = await asyncio.to_thread((folder / fmt).read_bytes)
    expected = soundfile.info(folder / "wav").frames
    results = [await cut(data, tools, size=size) for size in (777, 65_536, len(data))]
    assert len({digest(*result) for result in results}) == 1
    found, whole = results[0]
    assert whole.samples == pytest.approx(expected, abs=0.1 * SAMPLE_RATE)
    assert whole.problem is None
    assert [c.number for c in found] == list(range(len(found)))
    assert all(len(samples(c)) == c.end - c.start <= MAX_CHUNK for c in found)
    assert found[-1].source_bytes == len(data)


async def test_chunks_hold_the_recordings_own_samples(folder: Path, tools: Tools) -> None:
    source, _ = soundfile.read(folder / "silent", dtype="int16")
    found, whole = await cut(await asyncio.to_thread((folder / "silent").read_bytes), tools)
    assert whole.samples == len(source)
    for chunk in found:
        assert np.array_equal(samples(chunk), source[chunk.start : chunk.end])
    assert sum(seconds(c.skipped) for c in found) + seconds(whole.skipped) > 55
    assert tiled(found, whole)


async def test_silence_can_be_kept(folder: Path, tools: Tools) -> None:
    data = await asyncio.to_thread((folder / "silent").read_bytes)
    found, whole = await cut(data, tools, skip_silence=False)
    assert not any(c.skipped for c in found)
    assert not whole.skipped
    assert tiled(found, whole)


def tiled(found: list[ReadyChunk], whole: Recording) -> bool:
    """Whether chunks and skipped ranges follow each other without a hole or an overlap."""
    position = 0
    ranges = [r for c in found for r in (*c.skipped, Range(c.start, c.end))]
    for r in (*ranges, *whole.skipped):
        if r.start != position:
            return False
        position = r.end
    return position == whole.samples


def seconds(skipped: tuple[Range, ...]) -> float:
    return sum(r.end - r.start for r in skipped) / SAMPLE_RATE


async def test_a_restart_that_knows_the_first_cuts_repeats_every_chunk(folder: Path, tools: Tools) -> None:
    data = await asyncio.to_thread((folder / "silent").read_bytes)
    found, whole = await cut(data, tools)
    assert len(found) >= 4
    for known in range(len(found) + 1):
        stored = [
            ChunkCut(chunk=c.number, start=c.start, end=c.end, skipped=c.skipped) for c in found[:known]
        ]
        assert digest(*await cut(data, tools, stored=stored)) == digest(found, whole)


@pytest.mark.parametrize("fmt", ["mp3", "m4a_faststart", "opus", "wav"])
async def test_the_first_chunk_is_there_while_the_upload_goes_on(
    folder: Path, tools: Tools, fmt: str
) -> None:
    data = await asyncio.to_thread((folder / fmt).read_bytes)
    more = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield data[: len(data) * 8 // 10]
        await more.wait()
        yield data[len(data) * 8 // 10 :]

    async with asyncio.timeout(30), aclosing(chunks(source(), tools)) as items:
        first = await anext(items)
        assert isinstance(first, ReadyChunk)
        assert first.source_bytes <= len(data) * 8 // 10
        more.set()
        rest = [item async for item in items]
    assert digest([first, *[c for c in rest if isinstance(c, ReadyChunk)]], last(rest)) == digest(
        *await cut(data, tools)
    )


def last(items: list[ReadyChunk | Recording]) -> Recording:
    assert isinstance(items[-1], Recording)
    return items[-1]


async def test_several_recordings_at_once_do_not_mix(folder: Path, tools: Tools) -> None:
    files = [await asyncio.to_thread((folder / fmt).read_bytes) for fmt in ("mp3", "flac", "opus")]
    alone = [digest(*await cut(data, tools)) for data in files]
    together = await asyncio.gather(*(cut(data, tools) for data in files))
    assert [digest(*result) for result in together] == alone


async def test_silence_alone_gives_no_chunk(tools: Tools) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(40 * SAMPLE_RATE, np.int16), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    found, whole = await cut(file.getvalue(), tools)
    assert found == []
    assert whole == Recording(samples=40 * SAMPLE_RATE, skipped=(Range(0, 40 * SAMPLE_RATE),), problem=None)


@pytest.mark.parametrize("fmt", ["mp3", "m4a"])
async def test_the_event_loop_is_never_blocked(folder: Path, tools: Tools, fmt: str) -> None:
    data = await asyncio.to_thread((folder / fmt).read_bytes)
    with blockbuster_ctx():
        found, _ = await cut(data, tools)
    assert found
