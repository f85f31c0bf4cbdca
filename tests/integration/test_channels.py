"""Channels each on its own: from real files to chunks that never vary; silence and copies cost nothing."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from services.chunker.chunks import ReadyChunk, Recording, Tools, chunks
from services.chunker.problems import BadRecording
from services.chunker.speech import SpeechModel
from services.chunker.spool import Spool
from services.contracts.channels import Channels
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import ChunkCut, Range
from tests.calls import SURROUND, Samples, encoded, party, silence, wav
from tests.decoder import limits
from tests.speech import FORMATS

CALL_FORMATS = {"stereo-wav": FORMATS["wav"], **{fmt: FORMATS[fmt] for fmt in ("mp3", "opus", "m4a")}}
SECONDS = 45.0
LATE = 15.0
"""Seconds after which the second party joins."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    spool = Spool(tmp_path_factory.mktemp("spool"), 100_000_000)
    return Tools(model=SpeechModel(), spool=spool, limits=limits())


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> list[Samples]:
    """One who speaks from the start, and one who joins late."""
    folder = tmp_path_factory.mktemp("parties")
    late = np.concatenate((silence(LATE), party(folder, 22, SECONDS - LATE)))
    return [party(folder, 21, SECONDS), late]


@pytest.fixture(scope="module")
def call(parties: list[Samples], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wav(tmp_path_factory.mktemp("call") / "call.wav", parties)


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def cut(
    path: Path,
    tools: Tools,
    *,
    size: int = 65_536,
    channels: Channels = Channels.SPLIT,
    skip_silence: bool = True,
    stored: Sequence[ChunkCut] = (),
) -> tuple[list[ReadyChunk], Recording]:
    data = await asyncio.to_thread(path.read_bytes)
    source = pieces(data, size)
    items = [
        item
        async for item in chunks(source, tools, channels=channels, skip_silence=skip_silence, stored=stored)
    ]
    assert isinstance(items[-1], Recording)
    return [item for item in items if isinstance(item, ReadyChunk)], items[-1]


def facts(found: Sequence[ReadyChunk]) -> list[tuple[object, ...]]:
    return sorted(
        (c.number, c.channel, c.start, c.end, c.skipped, hashlib.sha256(c.flac).hexdigest()) for c in found
    )


def samples(chunk: ReadyChunk) -> Samples:
    audio, _ = soundfile.read(io.BytesIO(chunk.flac), dtype="int16")
    return np.asarray(audio, np.int16)


def tiles(found: Sequence[ReadyChunk], whole: Recording, channel: int) -> bool:
    """Whether a channel's chunks and skipped ranges follow each other without a hole or an overlap."""
    own = sorted((c for c in found if c.channel == channel), key=lambda chunk: chunk.start)
    ranges = [r for c in own for r in (*c.skipped, Range(c.start, c.end))]
    ranges += whole.skipped_by_channel[channel]
    ends = [0, *(r.end for r in ranges)]
    return [r.start for r in ranges] == ends[:-1] and ends[-1] == whole.samples


@pytest.mark.parametrize("fmt", CALL_FORMATS)
async def test_every_format_gives_both_channels_and_they_never_vary(
    call: Path, tools: Tools, tmp_path: Path, fmt: str
) -> None:
    path = await asyncio.to_thread(encoded, call, tmp_path / fmt, CALL_FORMATS[fmt])
    results = [await cut(path, tools, size=size) for size in (777, 10_000_000)]
    assert facts(results[0][0]) == facts(results[1][0])
    assert results[0][1] == results[1][1]
    found, whole = results[0]
    assert whole.problem is None
    assert whole.samples == pytest.approx(soundfile.info(call).frames, abs=0.1 * SAMPLE_RATE)
    assert {c.channel for c in found} == {0, 1}
    assert min(c.start for c in found if c.channel == 1) > (LATE - 1) * SAMPLE_RATE
    assert [c.number for c in found] == list(range(len(found)))


async def test_chunks_hold_their_own_channels_samples(
    call: Path, parties: list[Samples], tools: Tools
) -> None:
    found, whole = await cut(call, tools)
    for chunk in found:
        assert chunk.channel is not None
        assert np.array_equal(samples(chunk), parties[chunk.channel][chunk.start : chunk.end])
    assert tiles(found, whole, 0)
    assert tiles(found, whole, 1)
    assert whole.skipped == ()


async def test_a_channel_is_cut_as_if_it_were_alone(
    call: Path, parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    together, _ = await cut(call, tools)
    for channel, alone in enumerate(parties):
        single = await asyncio.to_thread(wav, tmp_path / "alone.wav", [alone])
        mixed, _ = await cut(single, tools, channels=Channels.MIX)
        own = [c for c in together if c.channel == channel]
        assert [(c.start, c.end, c.flac) for c in own] == [(c.start, c.end, c.flac) for c in mixed]


@pytest.mark.parametrize("skip_silence", [True, False])
async def test_a_restart_that_knows_the_first_cuts_repeats_every_chunk(
    call: Path, tools: Tools, *, skip_silence: bool
) -> None:
    found, whole = await cut(call, tools, skip_silence=skip_silence)
    assert len({c.channel for c in found}) == 2
    for known in range(len(found) + 1):
        stored = [stored_cut(c) for c in found[:known]]
        again, same = await cut(call, tools, skip_silence=skip_silence, stored=stored)
        assert (facts(again), same) == (facts(found), whole)


def stored_cut(chunk: ReadyChunk) -> ChunkCut:
    return ChunkCut(
        chunk=chunk.number, start=chunk.start, end=chunk.end, skipped=chunk.skipped, channel=chunk.channel
    )


async def test_stored_cuts_are_followed_where_own_rules_would_number_otherwise(
    call: Path, tools: Tools
) -> None:
    """Another processor's detector may have decided otherwise; what it stored counts."""
    stored = [
        ChunkCut(chunk=0, start=16 * SAMPLE_RATE, end=28 * SAMPLE_RATE, channel=1),
        ChunkCut(chunk=1, start=0, end=12 * SAMPLE_RATE, channel=0),
    ]
    found, _ = await cut(call, tools, stored=stored)
    by_number = {c.number: (c.channel, c.start, c.end) for c in found}
    assert [by_number[0], by_number[1]] == [(c.channel, c.start, c.end) for c in stored]
    assert sorted(by_number) == list(range(len(found)))


async def test_what_was_begun_as_a_mix_stays_one(call: Path, tools: Tools) -> None:
    """A chunker of an earlier version knows no channels."""
    mixed, _ = await cut(call, tools, channels=Channels.MIX)
    again, _ = await cut(call, tools, stored=[stored_cut(mixed[0])])
    assert facts(again) == facts(mixed)


async def test_six_channels_and_only_those_that_are_used(
    parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    quiet = silence(1)
    source = await asyncio.to_thread(
        wav, tmp_path / "surround.wav", [parties[0], quiet, parties[1], *[quiet] * 3]
    )
    path = await asyncio.to_thread(encoded, source, tmp_path / "surround.mka", SURROUND)
    for file in (source, path):
        found, whole = await cut(file, tools)
        assert {c.channel for c in found} == {0, 2}
        assert len(whole.skipped_by_channel) == 6
        assert whole.skipped_by_channel[1] == (Range(0, whole.samples),)


async def test_a_silent_channel_gives_its_skipped_range_alone(
    parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    path = await asyncio.to_thread(wav, tmp_path / "half.wav", [parties[0], silence(SECONDS)])
    found, whole = await cut(path, tools)
    assert {c.channel for c in found} == {0}
    assert whole.skipped_by_channel[1] == (Range(0, whole.samples),)


@pytest.mark.parametrize("fmt", ["wav", "mp3"])
async def test_the_same_sound_in_two_channels_is_told_once(
    parties: list[Samples], tools: Tools, tmp_path: Path, fmt: str
) -> None:
    """Many programs save what one microphone heard in stereo."""
    twice = np.concatenate((parties[0], silence(20), parties[0]))
    source = await asyncio.to_thread(wav, tmp_path / "twice.wav", [twice, twice])
    path = await asyncio.to_thread(encoded, source, tmp_path / fmt, FORMATS[fmt])
    found, whole = await cut(path, tools)
    assert {c.channel for c in found} == {0}
    assert whole.skipped_by_channel[1] == (Range(0, whole.samples),)


async def test_where_copies_end_the_channels_go_on_each_on_its_own_and_so_does_a_restart(
    parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    """An announcement that both parties hear, and their talk after it."""
    announced = [np.concatenate((parties[0], silence(3), after)) for after in parties]
    path = await asyncio.to_thread(wav, tmp_path / "announced.wav", announced)
    found, whole = await cut(path, tools)
    assert tiles(found, whole, 0)
    assert tiles(found, whole, 1)
    assert min(c.start for c in found if c.channel == 1) > 50 * SAMPLE_RATE
    for known in (1, len(found) // 2, len(found) - 1):
        again, same = await cut(path, tools, stored=[stored_cut(c) for c in found[:known]])
        assert (facts(again), same) == (facts(found), whole)


async def test_one_channel_alone_reads_as_a_mix_does(
    parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    path = await asyncio.to_thread(wav, tmp_path / "mono.wav", parties[:1])
    mixed, _ = await cut(path, tools, channels=Channels.MIX)
    found, _ = await cut(path, tools)
    assert {c.channel for c in found} == {0}
    assert [(c.number, c.start, c.end, c.flac) for c in found] == [
        (c.number, c.start, c.end, c.flac) for c in mixed
    ]


async def test_more_than_eight_channels_are_refused(
    parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    path = await asyncio.to_thread(wav, tmp_path / "nine.wav", [parties[0]] * 9)
    with pytest.raises(BadRecording) as caught:
        await cut(path, tools)
    assert caught.value.code == "too_many_channels"
    assert "9 channels" in str(caught.value)


async def test_a_change_of_channels_within_the_file_moves_nothing(
    parties: list[Samples], tools: Tools, tmp_path: Path
) -> None:
    """Stations join stereo and mono; the file's beginning says how many channels there are."""
    stereo = await asyncio.to_thread(wav, tmp_path / "stereo.wav", [parties[0][: 30 * SAMPLE_RATE]] * 2)
    mono = await asyncio.to_thread(wav, tmp_path / "mono.wav", [parties[0]])
    joined = b""
    for source in (stereo, mono):
        part = await asyncio.to_thread(encoded, source, tmp_path / "part.mp3", FORMATS["mp3"])
        joined += await asyncio.to_thread(part.read_bytes)
    path = tmp_path / "joined.mp3"
    await asyncio.to_thread(path.write_bytes, joined)
    _, whole = await cut(path, tools)
    assert len(whole.skipped_by_channel) == 2
    assert whole.samples / SAMPLE_RATE == pytest.approx(30 + SECONDS, abs=0.5)
