"""Bodies that fit into memory: read whole, within a size and a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from services.gateway.errors import UploadTooSlow

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
