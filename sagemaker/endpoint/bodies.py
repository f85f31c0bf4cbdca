"""The bytes of a request: a whole body or the parts of a form, within the limits."""

from collections.abc import Mapping, Sequence

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from endpoint.errors import BadInput, TooLarge, UnknownType
from services.contracts.inference import MAX_BODY_BYTES

MAX_PARTS = 200
PIECE_BYTES = 64 * 1024

Form = Mapping[str, Sequence[bytes]]
"""The parts of a form by name, in the order sent."""


async def whole(request: web.Request) -> bytes:
    """The body. Raises `UnknownType`, `TooLarge`, `BadInput`."""
    _check_announced(request)
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large() from error
    except web.RequestPayloadError as error:
        raise BadInput(f"the body breaks off or is malformed: {_said(error)}") from error


async def form(request: web.Request) -> Form:
    """The parts of a multipart body. Raises `UnknownType`, `TooLarge`, `BadInput`."""
    _check_announced(request)
    parts: dict[str, list[bytes]] = {}
    room, count = MAX_BODY_BYTES, 0
    try:
        async for part in await request.multipart():
            count += 1
            if count > MAX_PARTS:
                raise BadInput(f"the form has over {MAX_PARTS} parts: send fewer")
            if not isinstance(part, BodyPartReader):
                raise BadInput("a part of the form is a form itself: send each field as a part of its own")
            body = await _part(part, room)
            room -= len(body)
            parts.setdefault(part.name or "", []).append(body)
    except (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise BadInput(f"the multipart body cannot be read: {_said(error)}") from error
    return parts


async def _part(part: BodyPartReader, room: int) -> bytes:
    body = bytearray()
    while piece := await part.read_chunk(PIECE_BYTES):
        body += piece
        if len(body) > room:
            raise _too_large()
    return bytes(body)


def _check_announced(request: web.Request) -> None:
    """Nothing is unpacked for a client: a few bytes could become gigabytes."""
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise UnknownType(f"Content-Encoding {encoding[:40]!r} is not unpacked here: send the body as it is")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {request.content_length} bytes: send at most {MAX_BODY_BYTES}")


def _too_large() -> TooLarge:
    return TooLarge(f"the body has over {MAX_BODY_BYTES} bytes: send at most that")


def _said(error: Exception) -> str:
    """In one line, without the status that aiohttp's errors begin with."""
    return " ".join(str(error).split()).removeprefix("400, message: ")
