"""Take a multipart/form-data body apart while it arrives (RFC 7578).

aiohttp's own reader searches every line; this one searches for the boundary only, so that a
recording costs one pass of memchr and one copy.
"""

from collections.abc import AsyncIterator
from email.message import Message
from email.parser import HeaderParser

import msgspec

from services.gateway.errors import InvalidRequest, UploadInterrupted

MAX_HEADER_BYTES = 16 * 1024
MAX_BOUNDARY_BYTES = 70
"""RFC 2046, 5.1.1."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of one part; `filename` is None for a plain field."""

    name: str
    filename: str | None


class MultipartReader:
    """Parts one after the other: `next_part()`, then `body()` of that part to its end."""

    def __init__(self, source: AsyncIterator[bytes], boundary: str, most: int) -> None:
        """At most so many parts are read."""
        self._source = source
        self._most = most
        self._delimiter = b"\r\n--" + boundary.encode()
        self._buffer = b"\r\n"  # so that a boundary at the very start has its line break too
        self._in_body = True
        self._parts = 0

    async def next_part(self) -> Part | None:
        """The next part, skipping what is left of this one; None after the last."""
        if self._in_body:
            async for _ in self.body():
                pass
        await self._fill(2)
        if self._buffer[:2] == b"--":
            return None
        self._parts += 1
        if self._parts > self._most:
            raise InvalidRequest(f"the form has more than {self._most} fields")
        headers = await self._until(b"\r\n\r\n")
        self._in_body = True
        return _part(headers)

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes of the current part."""
        while self._in_body:
            found = self._buffer.find(self._delimiter)
            if found >= 0:
                piece, self._buffer = self._buffer[:found], self._buffer[found + len(self._delimiter) :]
                self._in_body = False
            else:
                safe = self._safe_bytes()
                piece, self._buffer = self._buffer[:safe], self._buffer[safe:]
            if piece:
                yield piece
            if self._in_body:
                self._buffer += await self._more()

    async def text(self, limit: int) -> str:
        """The current part as text of at most `limit` bytes."""
        data = bytearray()
        async for piece in self.body():
            data += piece
            if len(data) > limit:
                raise InvalidRequest(f"a form field is longer than {limit} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("a form field is not UTF-8 text") from None

    def _safe_bytes(self) -> int:
        """How many bytes of the buffer cannot belong to a delimiter whose end is still to come."""
        begin = self._buffer.find(b"\r", max(0, len(self._buffer) - len(self._delimiter) + 1))
        return len(self._buffer) if begin < 0 else begin

    async def _until(self, end: bytes) -> bytes:
        while (found := self._buffer.find(end)) < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise InvalidRequest("the headers of a form field are too long")
            self._buffer += await self._more()
        head, self._buffer = self._buffer[:found], self._buffer[found + len(end) :]
        return head

    async def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            self._buffer += await self._more()

    async def _more(self) -> bytes:
        if chunk := await anext(self._source, b""):
            return chunk
        raise UploadInterrupted("the form ended before its closing boundary; send it again")


def boundary_of(content_type: str) -> str:
    """The boundary that a Content-Type header names."""
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary("")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
        raise InvalidRequest("the multipart/form-data body names no boundary")
    return boundary


def _part(headers: bytes) -> Part:
    message = HeaderParser().parsestr(headers.decode(errors="replace").lstrip("\r\n"))
    name = message.get_param("name", header="content-disposition")
    if not isinstance(name, str) or not name:
        raise InvalidRequest("a form field has no name")
    return Part(name=name, filename=message.get_filename())
