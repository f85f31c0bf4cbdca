"""Requests byte by byte, as no HTTP client would send them."""

import asyncio
import contextlib
import re
from urllib.parse import urlsplit

STATUS = re.compile(rb"(?:^|\r\n|\})HTTP/1\.[01] (\d{3}) ")


async def sent(url: str, data: bytes, *, seconds: float = 10.0) -> bytes:
    """Everything that comes back until the server closes the connection, or for so long."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    answer = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(seconds):
                writer.write(data)
                await writer.drain()
                while piece := await reader.read(65_536):
                    answer += piece
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


def statuses(answer: bytes) -> list[int]:
    """The status of each answer in it."""
    return [int(found) for found in STATUS.findall(answer)]
