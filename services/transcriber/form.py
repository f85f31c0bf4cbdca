"""Bodies of RFC 7578: multipart/form-data."""

import uuid
from collections.abc import Iterable

import msgspec

CRLF = b"\r\n"


class Part(msgspec.Struct, frozen=True):
    """One field; a file where it has a name of its own."""

    name: str
    body: bytes
    content_type: str = ""
    filename: str = ""


def multipart(parts: Iterable[Part]) -> tuple[bytes, str]:
    """Body and content type."""
    boundary = uuid.uuid4().hex
    pieces: list[bytes] = []
    for part in parts:
        pieces += (f"--{boundary}".encode(), CRLF, _head(part).encode(), CRLF, CRLF, part.body, CRLF)
    pieces.append(f"--{boundary}--".encode() + CRLF)
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def _head(part: Part) -> str:
    filename = f'; filename="{part.filename}"' if part.filename else ""
    kind = f"\r\nContent-Type: {part.content_type}" if part.content_type else ""
    return f'Content-Disposition: form-data; name="{part.name}"{filename}{kind}'
