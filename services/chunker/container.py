"""What the first bytes of a file say: can it be decoded as it arrives, and is it a recording at all?"""

import struct
from enum import Enum

from services.chunker import problems
from services.contracts.messages import Problem

OPENING_BYTES = 64 * 1024
"""As much of a file's beginning as is ever looked at."""


class Delivery(Enum):
    """How the decoder must get the file."""

    PIPE = "pipe"
    SPOOL = "spool"


_BOXES = frozenset((b"ftyp", b"styp", b"wide", b"free", b"skip", b"mdat", b"moov", b"moof", b"pnot", b"sidx"))
_INDEX = frozenset((b"moov", b"moof"))

_PLAYLISTS = (b"#extm3u", b"[playlist]", b"<asx", b"ffconcat", b"v=0\r\no=", b"v=0\no=", b"[reference]")
_MANIFESTS = (b"<mpd", b"<smil", b"<rss", b"<smoothstreamingmedia")
_OTHERS = (
    (b"%pdf", "a PDF document"),
    (b"pk\x03\x04", "a ZIP archive or an office document"),
    (b"\x89png", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"gif8", "a picture"),
    (b"mthd", "a MIDI file (notes without sound)"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"{\\rtf", "a text document"),
)


def delivery(opening: bytes, *, whole: bool) -> Delivery | None:
    """Whether the file may flow through a pipe; None while more of it is needed to tell.

    MP4 and M4A with the sound before the index (ISO/IEC 14496-12, 8.1) need the index first, so they must
    lie in a file; so must those whose layout the opening does not show, for a file is always right.
    """
    if len(opening) < 8 and not whole:
        return None
    if opening[4:8] not in _BOXES:
        return Delivery.PIPE
    found = _first_of_index_and_sound(opening)
    if found is not None:
        return Delivery.PIPE if found in _INDEX else Delivery.SPOOL
    return Delivery.SPOOL if whole or len(opening) >= OPENING_BYTES else None


def refusal(opening: bytes) -> Problem | None:
    """Why this cannot be a recording, where its beginning already shows it."""
    start = opening[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_PLAYLISTS) or (start.startswith(b"<") and any(tag in start for tag in _MANIFESTS)):
        return problems.PLAYLIST
    for prefix, kind in _OTHERS:
        if start.startswith(prefix):
            return problems.not_audio(kind)
    return None


def _first_of_index_and_sound(opening: bytes) -> bytes | None:
    """`moov`, `moof` or `mdat`, whichever box comes first, or None where none of them is seen."""
    position = 0
    while position + 8 <= len(opening):
        size, kind = struct.unpack_from(">I4s", opening, position)
        if kind in _INDEX or kind == b"mdat":
            return bytes(kind)
        if size == 1 and position + 16 <= len(opening):
            (size,) = struct.unpack_from(">Q", opening, position + 8)
        if size < 8:
            return None
        position += size
    return None
