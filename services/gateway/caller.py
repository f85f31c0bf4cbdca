"""The seam between handlers and the way a request proves its user."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.gateway.identity import Identity

Identify = Callable[[web.Request], Awaitable[Identity]]
IDENTIFY: web.AppKey[Identify] = web.AppKey("identify")


async def caller(request: web.Request) -> Identity:
    """Who is asking; raises `Unauthorized`."""
    return await request.app[IDENTIFY](request)
