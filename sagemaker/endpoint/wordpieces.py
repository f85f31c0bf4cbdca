"""Which tokens of a byte-level vocabulary go on with a spaced word, and which end inside one."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

FIRST_UNSPACED = 0x2E80
"""From this code point on (CJK, kana, hangul) a letter says nothing about where a word ends."""
UNSPACED_BELOW = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao and Tibetan; Burmese; Khmer: written without spaces too."""
SPACED_LEADS = range(0xC3, 0xE0)
"""First bytes of two-byte UTF-8: Latin, Greek, Cyrillic, Hebrew, Arabic letters, split across tokens."""
PRINTABLE = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))
"""Bytes that byte-level BPE writes as themselves; the others it moves to U+0100 and on (openai/gpt-2)."""
PARTIAL = "\N{REPLACEMENT CHARACTER}"

Flags = npt.NDArray[np.bool_]


class WordPieces(msgspec.Struct, frozen=True, eq=False):
    """Two flags (vocabulary,) for each token; special tokens and partial CJK characters have neither."""

    continues: Flags
    """It begins with a letter or digit of a spaced script: after another such one it is no new word."""
    ends: Flags
    """It ends with one: what continues after it belongs to the same word."""


def word_pieces(tokens: Sequence[str], size: int) -> WordPieces:
    """Flags of `tokens` as a byte-level tokeniser names them (`ĠRe`), filled up to `size` tokens."""
    byte_of = _bytes_by_character()
    continues, ends = np.zeros(size, bool), np.zeros(size, bool)
    for number, token in enumerate(tokens):
        if not token.startswith("<|"):
            piece = bytes(byte_of[character] for character in token if character in byte_of)
            continues[number], ends[number] = _begins(piece), _ends(piece)
    return WordPieces(continues, ends)


def spaced(character: str) -> bool:
    """Whether it is a letter or digit of a script that puts spaces between words."""
    code = ord(character) if character else FIRST_UNSPACED
    return (
        code < FIRST_UNSPACED
        and character.isalnum()
        and not any(first <= code <= last for first, last in UNSPACED_BELOW)
    )


def _begins(piece: bytes) -> bool:
    first = piece.decode(errors="replace")[:1]
    return spaced(first) or (first == PARTIAL and piece[0] in SPACED_LEADS)


def _ends(piece: bytes) -> bool:
    return spaced(piece.decode(errors="replace")[-1:])


def _bytes_by_character() -> dict[str, int]:
    printable = [byte for part in PRINTABLE for byte in part]
    moved = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(moved)
    }
