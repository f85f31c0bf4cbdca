"""The seam between handlers and the way a request proves its user."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.gateway.door import DOOR
from services.gateway.identity import Identity
from services.gateway.wakeups import WAKEUPS

Identify = Callable[[web.Request], Awaitable[Identity]]
CALLER = web.RequestKey("caller", Identity)


def by_token(request: web.Request) -> Awaitable[Identity]:
    """Who the request's token or cookie says."""
    return request.app[DOOR].identity(request)


def caller(request: web.Request) -> Identity:
    """Who is asking, as was found out before the handler ran (`access.Route`); no open route knows."""
    return request[CALLER]


async def may_listen(app: web.Application, identity: Identity) -> bool:
    """Whether an open stream goes on: past its token's expiry it does, past its session's end or the
    token's revocation not."""
    if app[WAKEUPS].closing:
        return False
    if identity.token is not None:
        return await app[DOOR].tokens.stands(identity.owner, identity.token)
    return identity.session not in app[DOOR].revocations
