"""Lists of words as files: what is read, in which encodings, and that what is written reads back."""

import csv
import io

import pytest

from services.contracts.hotwords import validated
from services.gateway.errors import BadHotwords
from services.gateway.word_files import as_csv, as_text, csv_words, decoded, text_words

CHINESE = "章伟\n林克斯\n"


def read(body: bytes, charset: str | None = None) -> list[str]:
    return csv_words(decoded(body, charset))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_has_a_word_a_line(end: str) -> None:
    assert text_words(end.join(["Anna", "", "New York, NY", "  ", "Zoë"])) == ["Anna", "New York, NY", "Zoë"]


def test_the_first_column_of_a_csv_counts_with_or_without_its_header() -> None:
    assert read(b"Anna,a person\r\nBob\r\n\r\n,empty\r\n") == ["Anna", "Bob"]
    assert read(b"word,weight\nAnna,1\nword,2\n") == ["Anna", "word"]
    assert read(b'"Word"\r\n"New York, NY"\r\n"the ""Lynx"""') == ["New York, NY", 'the "Lynx"']
    assert read(b"") == []


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_header_tells_another_delimiter(delimiter: str) -> None:
    """Excel follows the country: where the comma is decimal, it writes semicolons."""
    assert read(f"word{delimiter}kind\nAnna{delimiter}x\n".encode()) == ["Anna"]


def test_quotes_that_do_not_match_are_told_with_their_line() -> None:
    with pytest.raises(BadHotwords, match="line 2"):
        read(b'Anna\n"Bob"b\n')
    with pytest.raises(BadHotwords, match="line 2"):
        read(b'Anna\n"Bob')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_marks_its_encoding_needs_no_name(encoding: str) -> None:
    assert read(CHINESE.encode(encoding)) == ["章伟", "林克斯"]
    assert read(CHINESE.encode(encoding), "utf-8") == ["章伟", "林克斯"]


@pytest.mark.parametrize(
    ("charset", "encoding", "text"),
    [
        ("gbk", "gbk", CHINESE),
        ("GB2312", "gb18030", "喆\n"),  # not in GB 2312 itself; Windows says so all the same
        ("gb18030", "gb18030", CHINESE),
        ("utf-16le", "utf-16-le", CHINESE),
        ("utf-16", "utf-16-le", CHINESE),
        ("big5", "big5", "林克斯\n"),
        ("shift_jis", "shift_jis", "大阪\n"),
        ("euc-kr", "euc-kr", "서울\n"),
        ("windows-1252", "cp1252", "Zürich\n"),
        ("ISO-8859-1", "latin-1", "Zürich\n"),
        ("us-ascii", "utf-8", "Zürich\n"),
    ],
)
def test_a_named_encoding_is_read(charset: str, encoding: str, text: str) -> None:
    assert read(text.encode(encoding), charset) == text.split()


@pytest.mark.parametrize(
    ("body", "charset", "said"),
    [
        (CHINESE.encode("gbk"), None, "not UTF-8: byte 0xD5 at position 0"),
        ("Zürich".encode("latin-1"), None, "not UTF-8: byte 0xFC at position 1"),
        ("Anna\n".encode("utf-16-le"), None, "zero bytes"),
        (CHINESE.encode(), "big5", "not BIG5"),
        (b"Anna", "klingon", "'klingon' is not one of those"),
        (b"Anna", "rot13", "'rot13' is not one of those"),
        (b"Anna", "zlib", "'zlib' is not one of those"),
    ],
)
def test_a_wrong_encoding_is_named_with_what_to_do(body: bytes, charset: str | None, said: str) -> None:
    with pytest.raises(BadHotwords) as refused:
        read(body, charset)
    assert refused.value.code == "wrong_encoding"
    assert said in str(refused.value)
    assert "save the file as UTF-8" in str(refused.value)
    assert "charset=gb18030" in str(refused.value)


WORDS = validated(
    words=[
        "word",
        "Anna",
        "New York, NY",
        'the "Lynx"',
        "=SUM(A1)",
        "+49",
        "-40",
        "@home",
        "＝1",
        "'=1",
        "''+1",
        "'tis",
        "章伟",
        "#1",
        "WORD",
    ]
).words


def test_what_is_written_reads_back_exactly() -> None:
    assert tuple(read(as_csv(WORDS))) == WORDS
    assert tuple(text_words(decoded(as_text(WORDS), None))) == WORDS


def test_a_spreadsheet_finds_no_formula_and_the_right_letters() -> None:
    written = as_csv(WORDS)
    assert written.startswith(b"\xef\xbb\xbfword\r\n")
    cells = [row[0] for row in csv.reader(io.StringIO(written.decode("utf-8-sig"), newline=""))]
    assert not [cell for cell in cells if cell[0] in "=+-@＝＋－＠"]
    assert "'=SUM(A1)" in cells
