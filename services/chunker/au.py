"""The header of a Sun AU file, in which the decoder says how many channels it writes.

Its fields have fixed places, and it may say that the length is not known yet (`man 5 audio`, NeXT/Sun).
"""

import struct

import msgspec

MAGIC = b".snd"
FIELDS = struct.Struct(">4s5I")
"""Magic, bytes before the samples, bytes of samples, encoding, samples a second, channels."""
LONGEST_HEADER = 4096
"""Beside its fields a header holds a remark, which ffmpeg leaves empty here: 8 bytes."""


class Header(msgspec.Struct, frozen=True):
    """What matters of a header."""

    remark_bytes: int
    """Between the fields and the first sample."""
    channels: int


def header(fields: bytes) -> Header | None:
    """The header that begins with these `FIELDS.size` bytes, None where it is none."""
    magic, begin, _size, _encoding, _rate, channels = FIELDS.unpack(fields)
    sound = magic == MAGIC and FIELDS.size <= begin <= LONGEST_HEADER and channels
    return Header(begin - FIELDS.size, channels) if sound else None
