"""How long a WAV or MP3 file says it is, worked out from its bytes as they go by.

ffmpeg does not know the length of these from a pipe, and tells no short file from a whole one.
"""

import struct

from services.chunker import mpeg
from services.chunker.container import OPENING_BYTES

TAIL_BYTES = 8 * 1024
"""At least four MP3 frames of the largest size, 1,441 bytes."""
SOUND_BYTES = 1024
"""Enough of the first MP3 frame to hold its Xing header."""
UNKNOWN_WAV_BYTES = 0x7FFF_0000
"""From here on a WAV's length is the placeholder of a program that could not know it."""


class Promise:
    """Sees every byte of a source, keeps a few, and says what they promise."""

    def __init__(self) -> None:
        self.source_bytes = 0
        self._opening = bytearray()
        self._sound = bytearray()
        self._tail = b""

    def see(self, piece: bytes) -> None:
        """The next bytes of the source."""
        self._opening += piece[: OPENING_BYTES - len(self._opening)]
        self._keep_sound(piece)
        self._tail = (self._tail + piece[-TAIL_BYTES:])[-TAIL_BYTES:]
        self.source_bytes += len(piece)

    def seconds(self) -> float | None:
        """The announced length, None where the file announces none that can be believed."""
        opening = bytes(self._opening)
        if opening[:4] == b"RIFF" and opening[8:12] == b"WAVE":
            return _wav_seconds(opening)
        return mpeg.announced_seconds(self._first_sound())

    def ends_inside_frame(self) -> bool:
        """Whether this is an MP3 that stops in the middle of a frame."""
        return mpeg.frame(self._first_sound()) is not None and mpeg.ends_inside_frame(self._tail)

    def _first_sound(self) -> bytes:
        tag = mpeg.tag_bytes(self._opening)
        inside = tag + SOUND_BYTES <= OPENING_BYTES
        return bytes(self._opening[tag : tag + SOUND_BYTES] if inside else self._sound)

    def _keep_sound(self, piece: bytes) -> None:
        """Keep the first bytes after an ID3 tag, whose pictures may be larger than the opening."""
        tag = mpeg.tag_bytes(self._opening)
        begin = tag + len(self._sound) - self.source_bytes
        if tag and 0 <= begin < len(piece):
            self._sound += piece[begin : begin + SOUND_BYTES - len(self._sound)]


def _wav_seconds(opening: bytes) -> float | None:
    """Seconds of sound in a RIFF file, by its `fmt ` and `data` chunks."""
    position, byte_rate = 12, 0
    while position + 8 <= len(opening):
        kind, size = struct.unpack_from("<4sI", opening, position)
        if kind == b"fmt " and position + 20 <= len(opening):
            (byte_rate,) = struct.unpack_from("<I", opening, position + 16)
        if kind == b"data":
            known = byte_rate and 0 < size < UNKNOWN_WAV_BYTES
            return size / byte_rate if known else None
        position += 8 + size + size % 2
    return None
