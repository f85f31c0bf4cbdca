"""The seam between handlers and the way a request proves its user."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.gateway.door import DOOR
from services.gateway.identity import Identity
from services.gateway.wakeups import WAKEUPS

Identify = Callable[[web.Request], Awaitable[Identity]]
IDENTIFY: web.AppKey[Identify] = web.AppKey("identify")
CALLER = web.RequestKey("caller", Identity)


async def by_token(request: web.Request) -> Identity:
    """Who the request's token or cookie says."""
    return (await request.app[DOOR].presented(request)).identity


async def caller(request: web.Request) -> Identity:
    """Who is asking, found out once a request; raises `Unauthorized`."""
    known = request.get(CALLER)
    if known is None:
        known = request[CALLER] = await request.app[IDENTIFY](request)
    return known


async def may_listen(app: web.Application, identity: Identity) -> bool:
    """Whether an open stream goes on: past its token's expiry it does, past its session's end or the
    token's revocation not."""
    if app[WAKEUPS].closing:
        return False
    if identity.token is not None:
        return await app[DOOR].tokens.stands(identity.owner, identity.token)
    return identity.session not in app[DOOR].revocations
