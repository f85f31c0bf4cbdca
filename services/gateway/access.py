"""What each route asks of its caller: stated in the route table, checked in one place, before the handler."""

from enum import StrEnum

import msgspec
from aiohttp import web

from services.contracts.claims import ADMIN_ROLE
from services.contracts.personal_tokens import Scope
from services.gateway.caller import CALLER, Identify
from services.gateway.errors import Forbidden, InsufficientScope
from services.gateway.identity import Identity
from services.gateway.personal_tokens import REFUSED


class Access(StrEnum):
    """Who may use a route. A login may use what a personal access token of any scope may."""

    OPEN = "open"
    """Everybody: nobody is asked who they are, unless the handler does."""
    KNOWN = "known"
    """A login, or a personal access token whatever its scopes."""
    READ = "read"
    """A login, or a token of this scope."""
    TRANSCRIBE = "transcribe"
    """A login, or a token of this scope."""
    SESSION = "session"
    """A login only."""
    ADMIN = "admin"
    """The login of a user with this role; tokens carry no roles."""


SCOPES = {Access.READ: Scope.READ, Access.TRANSCRIBE: Scope.TRANSCRIBE}


class Route(msgspec.Struct, frozen=True):
    """One line of the route table."""

    access: Access
    definition: web.RouteDef

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.definition.method

    @property
    def path(self) -> str:
        """The pattern of its addresses."""
        return self.definition.path

    def guarded(self, identify: Identify) -> web.RouteDef:
        """The route as aiohttp takes it: its handler runs only for who may use it, and finds who that is in
        `caller`."""
        if self.access is Access.OPEN:
            return self.definition
        handler = self.definition.handler

        async def checked(request: web.Request) -> web.StreamResponse:
            identity = request[CALLER] = await identify(request)
            check(identity, self.access)
            return await handler(request)

        return web.RouteDef(self.method, self.path, checked, self.definition.kwargs)


def check(identity: Identity, access: Access) -> None:
    """Let whoever this is pass; raises `Forbidden` or `InsufficientScope`."""
    if identity.scopes is not None:
        _check_token(identity.scopes, access)
    elif access is Access.ADMIN and ADMIN_ROLE not in identity.roles:
        raise Forbidden(f"this is for users with the role {ADMIN_ROLE}, which {identity.user} has not")


def _check_token(scopes: tuple[Scope, ...], access: Access) -> None:
    if access in (Access.SESSION, Access.ADMIN):
        raise Forbidden("this cannot be done with a personal access token: log in, and use the access token")
    needed = SCOPES.get(access)
    if needed is not None and needed not in scopes:
        REFUSED.labels("scope").inc()
        raise InsufficientScope(
            f"this needs a token with the scope {needed}; yours has {', '.join(scopes)}: make another one"
        )
