"""WAV and MP3 files say how long they are, and an MP3 shows whether it stops inside a frame."""

import struct

import pytest

from services.chunker.promise import Promise

HEADER = b"\xff\xfb\x90\x64"
"""MPEG 1 layer III, 128 kbit/s, 44.1 kHz, joint stereo, no padding: 417 bytes, 1,152 samples."""
FRAME = HEADER + bytes(413)


def xing(frames: int) -> bytes:
    return (HEADER + bytes(32) + b"Info" + struct.pack(">II", 1, frames)).ljust(417, b"\0")


def id3(size: int) -> bytes:
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + digits + bytes(size)


def wav(data_bytes: int, *, extra: bytes = b"") -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return b"RIFF\xff\xff\xff\xffWAVE" + fmt + extra + struct.pack("<4sI", b"data", data_bytes)


def seen(data: bytes, size: int = 1000) -> Promise:
    promise = Promise()
    for start in range(0, len(data), size):
        promise.see(data[start : start + size])
    assert promise.source_bytes == len(data)
    return promise


@pytest.mark.parametrize("size", [7, 1000, 1_000_000])
@pytest.mark.parametrize("tag", [b"", id3(500), id3(300_000)])
def test_an_mp3_announces_its_length_behind_any_tag(tag: bytes, size: int) -> None:
    promise = seen(tag + xing(3828) + FRAME * 20, size)
    assert promise.seconds() == pytest.approx(3828 * 1152 / 44_100)
    assert not promise.ends_inside_frame()


def test_an_mp3_without_a_xing_header_announces_nothing() -> None:
    assert seen(FRAME * 20).seconds() is None


@pytest.mark.parametrize("missing", [1, 200, 412])
def test_an_mp3_that_stops_inside_a_frame_is_noticed(missing: int) -> None:
    assert seen((FRAME * 200)[:-missing]).ends_inside_frame()


@pytest.mark.parametrize("end", [b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(300), bytes(1000)])
def test_tags_and_padding_after_the_last_frame_are_a_proper_end(end: bytes) -> None:
    assert not seen(FRAME * 200 + end).ends_inside_frame()


@pytest.mark.parametrize("data", [b"", b"\xff", b"OggS" + bytes(5000), b"\xff\xf1\x50\x80" * 3000])
def test_other_files_promise_nothing(data: bytes) -> None:
    assert seen(data).seconds() is None
    assert not seen(data).ends_inside_frame()


def test_a_wav_announces_its_length_behind_other_chunks() -> None:
    assert seen(wav(320_000)).seconds() == 10.0
    assert seen(wav(320_000, extra=struct.pack("<4sI", b"LIST", 5) + bytes(6))).seconds() == 10.0


@pytest.mark.parametrize("placeholder", [0, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF - 36, 0xFFFF_FFDB])
def test_the_length_of_a_wav_written_to_a_pipe_is_not_believed(placeholder: int) -> None:
    assert seen(wav(placeholder)).seconds() is None
