"""Bodies that fit into memory: read whole, within a size and a time."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from enum import EnumType
from typing import TypeVar, get_args

import msgspec
from aiohttp import web

from services.gateway.errors import InvalidRequest, TooLarge, UploadTooSlow

B = TypeVar("B", bound=msgspec.Struct)

_FIELD = re.compile(r"at `\$\.(\w+)")
"""Where msgspec says, at the end of its sentence, which field is wrong."""
BODY_SECONDS = web.AppKey("body_seconds", float)


@contextlib.asynccontextmanager
async def in_time(request: web.Request) -> AsyncIterator[None]:
    """Raise `UploadTooSlow` when the block, which reads the request's body, takes too long."""
    seconds = request.app[BODY_SECONDS]
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UploadTooSlow(f"the body of this request did not come within {seconds:.0f} s") from None


async def json_body(request: web.Request, kind: type[B], max_bytes: int) -> B:
    """The body as JSON of this shape; raises `InvalidRequest`, `TooLarge` or `UploadTooSlow`."""
    try:
        async with in_time(request):
            data = await request.clone(client_max_size=max_bytes).read()
        return msgspec.json.decode(data, type=kind)
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(f"this request takes a body of at most {max_bytes} bytes") from None
    except (ValueError, RecursionError) as error:  # not JSON of this shape, nested without end, or not UTF-8
        fields = " and ".join(field.name for field in msgspec.structs.fields(kind) if field.required)
        at = _FIELD.search(str(error))
        choices = _choices(kind, at[1]) if at else ""
        raise InvalidRequest(
            f"send a JSON object with {fields}: {error}{choices}", field=at and at[1]
        ) from None


def _choices(kind: type[msgspec.Struct], name: str) -> str:
    """What a field can be, where that is one of a few words or a list of them."""
    found = next((field.type for field in msgspec.structs.fields(kind) if field.name == name), None)
    for wanted in (found, *get_args(found)):
        if isinstance(wanted, EnumType):
            return f"; use {' or '.join(wanted)}"
    return ""
