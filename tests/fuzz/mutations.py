"""Damaged recordings: one good file of each format, and what random mutations make of it."""

import random
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from tests.speech import FORMATS, recording

HEAD_BYTES = 512
"""Most formats say within so much how they are to be read."""
LIES = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFE)
BASE_SECONDS = 3.0
NUMBERED_AT_RANDOM = {"ogg", "opus", "webm"}
"""ffmpeg gives their streams another number every time, unless it is told not to."""

Mutation = Callable[[bytes, random.Random, Mapping[str, bytes]], bytes]
"""Makes of a file, with chance and all good files, another one."""


class Damaged(msgspec.Struct, frozen=True, kw_only=True):
    """One mutated file."""

    fmt: str
    mutation: str
    number: int
    data: bytes


def good_files(folder: Path) -> dict[str, bytes]:
    """Some seconds of speech in every format, the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    return {fmt: _good_file(folder / fmt, fmt) for fmt in FORMATS}


def _good_file(path: Path, fmt: str) -> bytes:
    recording(path, seconds=BASE_SECONDS, seed=11, fmt=fmt)
    if fmt not in NUMBERED_AT_RANDOM:
        return path.read_bytes()
    same = path.with_suffix(".same")
    copied = ("-c", "copy", "-fflags", "+bitexact", *FORMATS[fmt][-2:])
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(path), *copied, str(same)], check=True)
    return same.read_bytes()


def damaged(good: Mapping[str, bytes], count: int, seed: int) -> Iterator[Damaged]:
    """`count` files, each format and each mutation as often as the others."""
    names = list(MUTATIONS)
    for number in range(count):
        fmt = list(good)[number % len(good)]
        mutation = names[number // len(good) % len(names)]
        chance = random.Random(f"{seed} {number}")
        data = MUTATIONS[mutation](good[fmt], chance, good)
        yield Damaged(fmt=fmt, mutation=mutation, number=number, data=_repaired(data))


def _flip_body(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    """The head stays, so that decoders get deep into what follows."""
    return _flipped(
        data, chance, range(min(HEAD_BYTES, len(data) // 2), len(data)), chance.choice((1, 8, 64))
    )


def _flip_head(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    return _flipped(data, chance, range(min(HEAD_BYTES, len(data))), chance.choice((1, 2, 4)))


def _truncate(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    return data[: chance.randrange(1, len(data))]


def _lie_about_sizes(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    """Numbers of four bytes in front of or behind a chunk's name, or anywhere in the head."""
    changed = bytearray(data)
    places = [at for name in CHUNKS for at in _beside(data, name)] or [chance.randrange(4, HEAD_BYTES)]
    for at in chance.sample(places, min(len(places), chance.choice((1, 1, 2)))):
        struct.pack_into(chance.choice("<>") + "I", changed, at, chance.choice(LIES))
    return bytes(changed)


CHUNKS = (
    *(b"RIFF", b"fmt ", b"data", b"fLaC", b"OggS", b"OpusHead", b"ftyp", b"moov", b"mvhd", b"trak", b"mdhd"),
    *(
        b"stsd",
        b"stts",
        b"stsc",
        b"stsz",
        b"stco",
        b"esds",
        b"mdat",
        b"moof",
        b"Info",
        b"Xing",
        b"\x1aE\xdf\xa3",
    ),
)


def _beside(data: bytes, name: bytes) -> list[int]:
    at = data.find(name)
    if at < 0:
        return []
    places = (at - 4, *range(at + len(name), at + len(name) + 24, 4))
    return [place for place in places if 0 <= place <= len(data) - 4]


def _splice_heads(data: bytes, chance: random.Random, good: Mapping[str, bytes]) -> bytes:
    """Another format's head before this one's body."""
    other = _other(data, chance, good)
    cut = chance.choice((16, 64, HEAD_BYTES, 4096))
    return other[:cut] + data[cut:]


def _concatenate(data: bytes, chance: random.Random, good: Mapping[str, bytes]) -> bytes:
    other = _other(data, chance, good)
    return data[: chance.randrange(len(data) // 2, len(data))] + other


def _other(data: bytes, chance: random.Random, good: Mapping[str, bytes]) -> bytes:
    return chance.choice([one for one in good.values() if one != data])


def _shuffle(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    """Blocks behind the head in another order, some twice, some not at all."""
    size = chance.choice((64, 417, 1024))
    head, body = data[:HEAD_BYTES], data[HEAD_BYTES:]
    blocks = [body[at : at + size] for at in range(0, len(body), size)]
    return head + b"".join(chance.choices(blocks, k=len(blocks)))


def _overwrite(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    """A stretch of zeros, ones or noise."""
    length = chance.randrange(1, max(2, len(data) // 4))
    at = chance.randrange(0, len(data) - length)
    return (
        data[:at]
        + chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
        + data[at + length :]
    )


def _insert(data: bytes, chance: random.Random, _good: Mapping[str, bytes]) -> bytes:
    """Bytes that shift all that follows."""
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.choice((1, 3, 100, 10_000))) + data[at:]


def _flipped(data: bytes, chance: random.Random, places: range, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[chance.choice(places)] ^= 1 << chance.randrange(8)
    return bytes(changed)


MUTATIONS: Mapping[str, Mutation] = {
    "flipped body": _flip_body,
    "flipped head": _flip_head,
    "truncated": _truncate,
    "lying sizes": _lie_about_sizes,
    "another head": _splice_heads,
    "concatenated": _concatenate,
    "shuffled": _shuffle,
    "overwritten": _overwrite,
    "inserted": _insert,
}


def _repaired(data: bytes) -> bytes:
    """Ogg pages get their checksums right again (RFC 3533): a page with a wrong one is not looked into."""
    if not data.startswith(b"OggS"):
        return data
    changed = bytearray(data)
    at = data.find(b"OggS")
    while 0 <= at <= len(data) - 27:
        end = at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        changed[at + 22 : at + 26] = bytes(4)
        struct.pack_into("<I", changed, at + 22, _ogg_checksum(changed[at:end]))
        at = data.find(b"OggS", at + 4)
    return bytes(changed)


def _ogg_table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value << 1) ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)
        return value & 0xFFFF_FFFF

    return tuple(entry(number << 24) for number in range(256))


_OGG_TABLE = _ogg_table()


def _ogg_checksum(page: bytearray) -> int:
    value = 0
    for byte in page:
        value = (value << 8) & 0xFFFF_FFFF ^ _OGG_TABLE[value >> 24 ^ byte]
    return value
