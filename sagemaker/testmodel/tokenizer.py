"""Whisper's multilingual tokeniser for transformers, built from openai/whisper's table of ranks, offline."""

import base64
import lzma
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from transformers import AddedToken, WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES

WHEEL_TABLE = Path("whisper/assets/multilingual.tiktoken")
"""Where the wheel `openai-whisper` keeps the ranks, below the folder it is installed in."""
LANGUAGE_COUNT = 99
"""large-v3 added a hundredth; the other multilingual models have 99 and 51,865 ids."""
TIMESTAMPS = 1501
END_OF_TEXT = "<|endoftext|>"
SPECIAL = (
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in list(LANGUAGES)[:LANGUAGE_COUNT]),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
VOCABULARY_SIZE = 51_865

Ranks = dict[bytes, int]


def packed_table(table: bytes) -> bytes:
    """The table as the repository keeps it: a third of its size."""
    return lzma.compress(table, preset=9 | lzma.PRESET_EXTREME)


def processor(packed: bytes) -> WhisperProcessor:
    """Tokeniser and feature extractor of a multilingual Whisper, from `packed_table`'s bytes."""
    ranks = _ranks(lzma.decompress(packed))
    vocabulary = {_printable(token): rank for token, rank in ranks.items()}
    vocabulary[END_OF_TEXT] = len(vocabulary)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=list(_merges(ranks)))
    # The order counts, and they must be *extra special* tokens: WhisperTokenizer takes the first
    # timestamp to be all_special_ids[-1] + 1, and with add_tokens all offsets come out 2.12 s late.
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [AddedToken(name, normalized=False, special=True) for name in SPECIAL]},
        replace_extra_special_tokens=True,
    )
    stamps = (f"<|{number * 0.02:.2f}|>" for number in range(TIMESTAMPS))
    tokenizer.add_tokens([AddedToken(stamp, normalized=False, special=False) for stamp in stamps])
    if len(tokenizer) != VOCABULARY_SIZE:
        raise ValueError(f"the table gives {len(tokenizer)} ids, not {VOCABULARY_SIZE}")
    extractor = WhisperFeatureExtractor()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    return WhisperProcessor(extractor, tokenizer)  # type: ignore[no-untyped-call]  # transformers leaves it untyped


def special_ids() -> dict[str, int]:
    """Ids by name, without the angle brackets: `endoftext`, `en`, `transcribe`, `0.00` and so on."""
    first = VOCABULARY_SIZE - TIMESTAMPS - len(SPECIAL) - 1
    names = (END_OF_TEXT, *SPECIAL, "<|0.00|>")
    return {name.strip("<|>"): first + number for number, name in enumerate(names)}


def _ranks(table: bytes) -> Ranks:
    lines = (line.split() for line in table.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def _merges(ranks: Ranks) -> Iterator[tuple[str, str]]:
    """The pair that makes up each token, most frequent first: a table of ranks leaves it to be found."""
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = _merged_below(token, rank, ranks)
        if len(parts) == 2:
            yield _printable(parts[0]), _printable(parts[1])


def _merged_below(token: bytes, limit: int, ranks: Ranks) -> Sequence[bytes]:
    """`token` in the parts it has once all merges ranked under `limit` are done."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 1:
        joined = [ranks.get(parts[place] + parts[place + 1], limit) for place in range(len(parts) - 1)]
        best = min(joined)
        if best >= limit:
            break
        place = joined.index(best)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def _printable(token: bytes) -> str:
    return "".join(_byte_letters()[byte] for byte in token)


@cache
def _byte_letters() -> dict[int, str]:
    """GPT-2's letter for each byte: itself where it can be seen, a letter past 255 where not."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}
