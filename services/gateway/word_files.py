"""Lists of words as files: text with a word a line, and CSV with the words in its first column (RFC 4180)."""

import codecs
import csv
import io
import re
from collections.abc import Iterable

from services.gateway.errors import BadHotwords

HEADER = "word"
"""First cell of the header row that exported files have and imported ones may have."""
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
CHARSETS = (
    "utf-8",
    "utf-16-le",
    "utf-16-be",
    "gb18030",
    "gbk",
    "gb2312",
    "big5",
    "shift_jis",
    "euc_jp",
    "euc_kr",
    "cp1252",
    "iso8859-1",
)
"""Python's names of what spreadsheets and editors write."""
WIDER = {"gbk": "gb18030", "gb2312": "gb18030"}
"""Windows says the narrow name and writes the wide one."""
FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""A spreadsheet calculates a cell that begins with one of these, full width or not, but for an apostrophe."""
CALCULATED = re.compile(f"'*[{re.escape(FORMULA)}]")
SHIELDED = re.compile(f"'+[{re.escape(FORMULA)}]")
DELIMITED = re.compile(rf'"?{HEADER}"?([;\t])', re.IGNORECASE)
"""A header row tells that its file has no commas: Excel follows the country, and UTF-16 comes with tabs."""


def decoded(body: bytes, charset: str | None) -> str:
    """The text of a file: in the encoding its first bytes mark, else in `charset`, else in UTF-8.

    Raises `BadHotwords` that says what is wrong with which byte and what to do.
    """
    encoding = _known(charset) if charset else "utf-8"
    for mark, marked in BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            encoding, body = marked, body[len(mark) :]
            break
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise _wrong(
            f"the words are not {encoding.upper()}: byte 0x{body[error.start]:02X} at position {error.start} "
            "does not belong there"
        ) from None
    if "\0" in text:
        raise _wrong("the words hold zero bytes, as UTF-16 read as something else does")
    return text


def text_words(text: str) -> list[str]:
    """The words of a text, one a line; empty lines are passed over."""
    return [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]


def csv_words(text: str) -> list[str]:
    """The first column without its header; raises `BadHotwords` for quotes that do not match."""
    found = DELIMITED.match(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=found[1] if found else ",", strict=True)
    words = list[str]()
    try:
        for row in rows:
            cell = row[0] if row else ""
            header = not words and rows.line_num == 1 and cell.strip().lower() == HEADER
            if cell.strip() and not header:
                words.append(cell[1:] if SHIELDED.match(cell) else cell)
    except csv.Error as error:
        raise BadHotwords(f"line {rows.line_num} of the CSV cannot be read: {error}", field="words") from None
    return words


def as_text(words: Iterable[str]) -> bytes:
    """A file that `text_words` reads back."""
    return "".join(f"{word}\n" for word in words).encode()


def as_csv(words: Iterable[str]) -> bytes:
    """A file that `csv_words` reads back and in which a spreadsheet finds letters right and no formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([HEADER])
    writer.writerows([f"'{word}" if CALCULATED.match(word) else word] for word in words)
    return codecs.BOM_UTF8 + file.getvalue().encode()


def _known(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):  # ValueError for a name with a zero byte
        name = ""
    if name == "ascii":
        return "utf-8"
    if name == "utf-16":  # without a mark; Windows writes the low byte first
        return "utf-16-le"
    if name not in CHARSETS:
        raise _wrong(f"the charset {charset[:40]!r} is not one of those that can be read")
    return WIDER.get(name, name)


def _wrong(what: str) -> BadHotwords:
    return BadHotwords(
        f"{what}; save the file as UTF-8, or name its encoding in the Content-Type: charset=gb18030 for what "
        "Excel writes in China (GBK), utf-16, big5, shift_jis, euc-kr, windows-1252 or iso-8859-1",
        code="wrong_encoding",
        field="words",
    )
