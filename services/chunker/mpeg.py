"""Headers of MPEG audio layer III frames (ISO/IEC 11172-3, 2.4.1.3): what a file's length depends on."""

import msgspec

_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}

CHAIN = 3
"""Frames in a row that make a sync word in compressed bytes a real frame."""


class Frame(msgspec.Struct, frozen=True):
    """One frame: its bytes, its samples, samples per second, and where a Xing header would stand."""

    length: int
    samples: int
    rate: int
    xing_at: int

    @property
    def kind(self) -> tuple[int, int]:
        """What all frames of one recording share."""
        return self.samples, self.rate


def frame(data: bytes, position: int = 0) -> Frame | None:
    """The frame whose 4-byte header stands at `position`, or None where none does."""
    header = int.from_bytes(data[position : position + 4], "big")
    if len(data) < position + 4 or header >> 21 != 0x7FF or header >> 17 & 3 != 1:
        return None
    version, bitrate, rate = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    mono = header >> 6 & 3 == 3
    side_info = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    samples, kilobits = (1152, _BITRATES_1) if version == 3 else (576, _BITRATES_2)
    hertz = _RATES[version][rate]
    length = samples * kilobits[bitrate] * 125 // hertz + (header >> 9 & 1)
    return Frame(length, samples, hertz, 4 + side_info)


def tag_bytes(opening: bytes | bytearray) -> int:
    """Length of the ID3v2 tag in front of the sound (id3.org, ID3v2.4 section 3.1), 0 without one."""
    if len(opening) < 10 or not opening.startswith(b"ID3"):
        return 0
    first, second, third, fourth = opening[6:10]
    return 10 + (first << 21 | second << 14 | third << 7 | fourth)


def announced_seconds(sound: bytes) -> float | None:
    """The length that a Xing or Info header in the first frame announces; None without one."""
    first = frame(sound)
    if first is None or sound[first.xing_at : first.xing_at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(sound[first.xing_at + 4 : first.xing_at + 8], "big")
    frames = int.from_bytes(sound[first.xing_at + 8 : first.xing_at + 12], "big")
    return frames * first.samples / first.rate if flags & 1 and frames else None


def ends_inside_frame(tail: bytes) -> bool:
    """Whether a file with these last bytes (some KiB) stops in the middle of a frame.

    A tag after the sound, or anything else that is no frame, counts as a proper end.
    """
    for position in range(len(tail)):
        end = _chain_end(tail, position)
        if end is not None:
            last = frame(tail, end)
            return last is not None and end + last.length > len(tail)
    return False


def _chain_end(tail: bytes, position: int) -> int | None:
    """Where the whole frames that follow each other from `position` on end, if they are a chain."""
    first = current = frame(tail, position)
    count = 0
    while current is not None and first is not None and current.kind == first.kind:
        if position + current.length > len(tail):
            break
        position += current.length
        count += 1
        current = frame(tail, position)
    return position if count >= CHAIN else None
