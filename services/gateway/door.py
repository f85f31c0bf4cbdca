"""Lets requests in: finds the token, checks it, and says whose request it is."""

import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.claims import Claims, TokenType
from services.contracts.identifiers import owner_token
from services.contracts.personal_tokens import PersonalToken
from services.gateway.authority import Authority
from services.gateway.cookies import SessionCookie
from services.gateway.errors import Unauthorized, WrongOrigin
from services.gateway.identity import Identity
from services.gateway.last_uses import LastUses
from services.gateway.origins import client_address, is_own
from services.gateway.personal_tokens import PersonalTokens, is_personal
from services.gateway.proven import Proven
from services.gateway.public_keys import PublicKeys
from services.gateway.revocations import Revocations, revocations
from services.gateway.settings import Settings

READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = ("same-origin", "none")
"""Fetch metadata (https://w3c.github.io/webappsec-fetch-metadata/): our own page, or the user's own hand."""


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was found good, and whose it is."""

    token: str
    identity: Identity


class Door:
    """Knows every way to prove who one is."""

    def __init__(
        self,
        settings: Settings,
        authority: Authority,
        keys: PublicKeys,
        ended: Revocations,
        tokens: PersonalTokens,
    ) -> None:
        self.authority = authority
        self.keys = keys
        self.revocations = ended
        self.tokens = tokens
        self._proven = Proven()
        self.notice = settings.notice or None
        self.cookie = SessionCookie(secure=settings.public_url.startswith("https:"))
        self._public_url = settings.public_url
        self._trusted_proxies = settings.trusted_proxies

    async def presented(self, request: web.Request) -> Presented:
        """The request's own token, checked: see `identity`."""
        return Presented(token=self._found(request)[0], identity=await self.identity(request))

    async def identity(self, request: web.Request) -> Identity:
        """Whose the request's token is: a bearer's access or personal token, else the cookie's refresh token.

        Raises `Unauthorized`, `WrongOrigin`, or `Unavailable` without keys to check by.
        """
        token, wanted = self._found(request)
        if wanted is TokenType.ACCESS and is_personal(token):
            return _bearer_of(await self.tokens.check(token))
        identity = self._proven.recall(token, wanted)
        if identity is None:
            claims = await self.keys.check(token, wanted)
            identity = _of_login(claims)
            self._proven.remember(token, claims, identity)
        if identity.session in self.revocations:
            raise Unauthorized("this session was ended: log in again")
        return identity

    def check_origin(self, request: web.Request) -> None:
        """Refuse a write that another site's page caused; raises `WrongOrigin`."""
        if request.method in READING:
            return
        self.check_site(request)
        origin = request.headers.get("Origin")
        if not is_own(origin, host=request.host, public_url=self._public_url):
            raise WrongOrigin(f"this request came from a page of {str(origin)[:200]!r}, not from ours")

    def check_site(self, request: web.Request) -> None:
        """Refuse whatever the browser says that another site's page caused; raises `WrongOrigin`."""
        if request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
            raise WrongOrigin("this request came from another site's page, not from ours")

    def address(self, request: web.Request) -> str:
        """The client's address."""
        forwarded = request.headers.getall("X-Forwarded-For", [])
        return client_address(request.remote, forwarded, self._trusted_proxies)

    def _found(self, request: web.Request) -> tuple[str, TokenType]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip(), TokenType.ACCESS
        cookie = self.cookie.read(request.cookies)
        if cookie is None:
            raise Unauthorized("log in first: send Authorization: Bearer and an access token, or the cookie")
        self.check_origin(request)
        return cookie, TokenType.REFRESH


def _of_login(claims: Claims) -> Identity:
    return Identity(user=claims.sub, owner=owner_token(claims.sub), session=claims.sid, roles=claims.roles)


def _bearer_of(token: PersonalToken) -> Identity:
    """Whose token it is: never with a role, and with a session of its own."""
    return Identity(
        user=token.user,
        owner=token.owner,
        session=f"token-{token.id}",
        scopes=token.scopes,
        token=token.id,
    )


DOOR = web.AppKey("door", Door)


@contextlib.asynccontextmanager
async def door(bus: Bus, settings: Settings, ended: Callable[[], None]) -> AsyncIterator[Door]:
    """A door that knows every ended session and revoked token, and tells `ended` of new ones.

    Run its `revocations.follow` and `tokens.uses.follow` beside.
    """
    authority = Authority(bus)
    tokens = PersonalTokens(bus, LastUses(authority), ended)
    subjects = (topology.live_personal_tokens(),)
    async with (
        revocations(bus, lambda _mark: ended()) as known,
        bus.listening(subjects, heard=tokens.heard, missed=tokens.missed),
    ):
        yield Door(settings, authority, PublicKeys(authority), known, tokens)
