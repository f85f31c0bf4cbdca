"""The multipart reader: any split of the bytes gives the same parts, and nothing is held back."""

import random
from collections.abc import AsyncIterator

import pytest

from services.gateway.errors import InvalidRequest, UploadInterrupted
from services.gateway.multipart import MultipartReader, boundary_of

BOUNDARY = "x-y"
FIELD = b'--x-y\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n'
FILE = b'--x-y\r\nContent-Disposition: form-data; name="file"; filename="\xe5\x8c\x97.mp3"\r\n\r\n'
TRICKY = b"\r\n--x-\r\n--x\r\r\n-\r\n--" + bytes(range(256)) + b"\r\n"


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def taken_apart(source: AsyncIterator[bytes]) -> list[tuple[str, str | None, bytes]]:
    reader, found = MultipartReader(source, BOUNDARY, 64), []
    while (part := await reader.next_part()) is not None:
        found.append((part.name, part.filename, b"".join([piece async for piece in reader.body()])))
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
async def test_any_split_gives_the_same_parts(size: int) -> None:
    data = b"preamble\r\n" + FIELD + FILE + TRICKY + b"\r\n--x-y--\r\nepilogue"
    assert await taken_apart(pieces(data, size)) == [("a", None, b"value"), ("file", "北.mp3", TRICKY)]


async def test_random_bodies_survive_random_splits() -> None:
    chance = random.Random(7)
    for _ in range(200):
        body = bytes(chance.choice(b"\r\n-xy") for _ in range(chance.randrange(60)))
        if b"\r\n--x-y" in b"\r\n" + body:
            continue
        data = FILE + body + b"\r\n--x-y--"
        [(_, _, found)] = await taken_apart(pieces(data, chance.randrange(1, 20)))
        assert found == body


async def test_what_cannot_be_a_boundary_is_handed_on_at_once() -> None:
    given: list[bytes] = []

    async def source() -> AsyncIterator[bytes]:
        yield FILE + b"first"
        given.append(b"")
        yield b"second\r"
        given.append(b"")
        yield b"\n--x-y--"

    reader = MultipartReader(source(), BOUNDARY, 64)
    await reader.next_part()
    body = reader.body()
    assert (await anext(body), len(given)) == (b"first", 0)
    assert (await anext(body), len(given)) == (b"second", 1)


async def test_a_body_that_ends_early_is_an_interrupted_upload() -> None:
    with pytest.raises(UploadInterrupted):
        await taken_apart(pieces(FIELD + FILE + b"half", 10))


async def test_endless_headers_and_long_fields_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        await taken_apart(pieces(b"--x-y\r\n" + b"a" * 50_000, 1000))
    reader = MultipartReader(pieces(FIELD + b"--x-y--", 1000), BOUNDARY, 64)
    await reader.next_part()
    with pytest.raises(InvalidRequest):
        await reader.text(4)


async def test_a_part_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        await taken_apart(pieces(b"--x-y\r\nContent-Type: text/plain\r\n\r\nx\r\n--x-y--", 100))


def test_the_boundary_is_read_from_the_content_type() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == "a b"
    for wrong in ("multipart/form-data", f"multipart/form-data; boundary={'x' * 71}"):
        with pytest.raises(InvalidRequest):
            boundary_of(wrong)
