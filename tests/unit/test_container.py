"""The first bytes decide how a file reaches the decoder, and whether it is worth a decoder at all."""

import struct

import pytest

from services.chunker.container import OPENING_BYTES, Delivery, delivery, refusal


def box(kind: bytes, size: int = 16, shown: int | None = None) -> bytes:
    """An MP4 box that claims `size` bytes, of which `shown` are there."""
    return (struct.pack(">I4s", size, kind) + bytes(size))[: size if shown is None else shown]


FTYP = box(b"ftyp", 32)
WIDE_MDAT = struct.pack(">I4sQ", 1, b"mdat", 5_000_000_000) + bytes(100)

STREAMED = [
    FTYP + box(b"moov", 900_000, shown=400),
    FTYP + box(b"free", 64) + box(b"moov", 100),
    box(b"styp", 24) + box(b"sidx", 52) + box(b"moof", 100),
    b"ID3\x04" + bytes(100),
    b"RIFF\xff\xff\xff\xffWAVEfmt ",
    b"OggS" + bytes(100),
]
SPOOLED = [
    FTYP + box(b"free", 8) + box(b"mdat", 900_000, shown=400) + bytes(100),
    FTYP + WIDE_MDAT,
    box(b"wide", 8) + box(b"mdat", 900_000, shown=16),
    box(b"mdat", 900_000, shown=16),
    FTYP + box(b"free", 200_000, shown=OPENING_BYTES),
    FTYP + struct.pack(">I4s", 0, b"free") + bytes(OPENING_BYTES),
]


@pytest.mark.parametrize("opening", STREAMED)
def test_a_file_that_begins_with_its_index_or_needs_none_flows_through_a_pipe(opening: bytes) -> None:
    assert delivery(opening, whole=False) is Delivery.PIPE


@pytest.mark.parametrize("opening", SPOOLED)
def test_a_file_whose_index_comes_last_or_cannot_be_seen_is_spooled(opening: bytes) -> None:
    assert delivery(opening, whole=False) is Delivery.SPOOL


@pytest.mark.parametrize("opening", [b"", b"\0\0\0", FTYP, FTYP + box(b"free", 1000, shown=500)])
def test_more_is_needed_while_neither_index_nor_sound_was_seen(opening: bytes) -> None:
    assert delivery(opening, whole=False) is None


@pytest.mark.parametrize(
    ("opening", "expected"),
    [(b"", Delivery.PIPE), (b"\0\0\0", Delivery.PIPE), (FTYP, Delivery.SPOOL)],
)
def test_the_whole_of_a_short_file_is_enough(opening: bytes, expected: Delivery) -> None:
    assert delivery(opening, whole=True) is expected


@pytest.mark.parametrize("opening", [*STREAMED, *SPOOLED])
def test_any_longer_opening_gives_the_same_answer(opening: bytes) -> None:
    """A file must go the same way whatever the sizes of the pieces it arrives in."""
    answers = {delivery(opening[:length], whole=False) for length in range(len(opening))}
    assert len(answers - {None}) <= 1


@pytest.mark.parametrize(
    "opening",
    [
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.mp3\n",
        b"\xef\xbb\xbf#EXTM3U\r\n",
        b"ffconcat version 1.0\nfile 'a.wav'\n",
        b"[playlist]\nFile1=a.mp3\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b'<asx version="3.0">',
        b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    ],
)
def test_playlists_are_refused_by_name(opening: bytes) -> None:
    problem = refusal(opening)
    assert problem is not None
    assert problem.code == "playlist"


@pytest.mark.parametrize(
    ("opening", "kind"),
    [
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"\n<!DOCTYPE html><title>Not found</title>", "web page"),
        (b"MThd\0\0\0\6", "MIDI"),
    ],
)
def test_what_is_no_sound_is_refused_by_its_kind(opening: bytes, kind: str) -> None:
    problem = refusal(opening)
    assert problem is not None
    assert problem.code == "not_audio"
    assert kind in problem.message


@pytest.mark.parametrize(
    "opening", [*STREAMED, *SPOOLED, b"\xff\xfb\x90\x64" + bytes(400), b"fLaC", b"\xff\xf1P@"]
)
def test_sound_is_never_refused(opening: bytes) -> None:
    assert refusal(opening) is None
