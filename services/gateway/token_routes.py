"""`/v1/tokens`: make, list and revoke one's personal access tokens, by a login only."""

from typing import Annotated

import msgspec
from aiohttp import web

from services.contracts.claims import ListedToken
from services.contracts.personal_tokens import Scope, new_token
from services.gateway.access import Access, Route
from services.gateway.answers import date, json_response
from services.gateway.bodies import json_body
from services.gateway.caller import caller
from services.gateway.door import DOOR
from services.gateway.errors import NotFound

MAX_BODY_BYTES = 16 * 1024


class WantedToken(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/tokens`."""

    name: str
    scopes: tuple[Scope, ...]
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class ShownToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as the API shows it."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: str
    expires_at: str
    last_used_at: str | None


class NewToken(ShownToken, frozen=True, kw_only=True):
    """A token just made: the only time that its text is shown."""

    token: str


class TokenLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens a user may have, and for how long."""

    tokens: int
    days: int


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """A user's tokens, the newest first."""

    tokens: list[ShownToken]
    limits: TokenLimits


async def post_token(request: web.Request) -> web.Response:
    """Make a token; auth gets its hash only, so that a question asked twice makes one."""
    wanted = await json_body(request, WantedToken, MAX_BODY_BYTES)
    text = new_token(caller(request).owner)
    made = await request.app[DOOR].authority.make_token(
        await _proof(request), text, name=wanted.name, scopes=wanted.scopes, days=wanted.expires_in_days
    )
    shown = _shown(made)
    new = NewToken(**{name: getattr(shown, name) for name in shown.__struct_fields__}, token=text)
    return json_response(new, status=201)


async def list_tokens(request: web.Request) -> web.Response:
    """The caller's tokens, without their texts."""
    found = await request.app[DOOR].authority.list_tokens(await _proof(request))
    limits = TokenLimits(tokens=found.most, days=found.longest_days)
    return json_response(TokenList(tokens=[_shown(token) for token in found.tokens], limits=limits))


async def delete_token(request: web.Request) -> web.Response:
    """Revoke one token, at every gateway."""
    door, token = request.app[DOOR], request.match_info["token"]
    if not await door.authority.revoke_tokens(await _proof(request), token):
        raise NotFound("you have no token with this id")
    door.tokens.forget(token)
    return web.Response(status=204)


async def delete_tokens(request: web.Request) -> web.Response:
    """Revoke all of one's tokens."""
    await request.app[DOOR].authority.revoke_tokens(await _proof(request), None)
    request.app[DOOR].tokens.missed()
    return web.Response(status=204)


async def _proof(request: web.Request) -> str:
    return (await request.app[DOOR].presented(request)).token


def _shown(token: ListedToken) -> ShownToken:
    return ShownToken(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        created_at=date(token.created_at),
        expires_at=date(token.expires_at),
        last_used_at=None if token.last_used_at is None else date(token.last_used_at),
    )


ROUTES = (
    Route(Access.SESSION, web.post("/v1/tokens", post_token)),
    Route(Access.SESSION, web.get("/v1/tokens", list_tokens)),
    Route(Access.SESSION, web.delete("/v1/tokens", delete_tokens)),
    Route(Access.SESSION, web.delete("/v1/tokens/{token}", delete_token)),
)
