"""Logging in and out, renewing tokens, and saying who one is."""

import contextlib
from collections.abc import Sequence

import msgspec
from aiohttp import web

from services.contracts.claims import PublicKey, Tokens
from services.contracts.personal_tokens import Scope
from services.gateway.access import Access, Route
from services.gateway.answers import json_response
from services.gateway.bodies import in_time, json_body
from services.gateway.door import DOOR
from services.gateway.errors import (
    HttpError,
    InvalidRequest,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
    WrongOrigin,
)
from services.gateway.login_page import LoginPage

MAX_BODY_BYTES = 16 * 1024
JSON = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
NO_STORE = {"Cache-Control": "no-store"}
KEYS_HEADERS = {"Cache-Control": "public, max-age=300"}

LOGIN_PAGE = web.AppKey("login_page", LoginPage)


class Credentials(msgspec.Struct, frozen=True):
    """Body of a login."""

    username: str
    password: str


class RefreshBody(msgspec.Struct, frozen=True):
    """Body of a refresh."""

    refresh_token: str


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the answer to a login or a refresh."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # the kind, not a token
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is, and what everybody should know."""

    username: str
    roles: tuple[str, ...]
    scopes: tuple[Scope, ...] | None
    """What a personal access token is limited to; null for a login."""
    notice: str | None


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """Public keys as a JWK set (RFC 7517)."""

    keys: Sequence[PublicKey]


async def get_login(request: web.Request) -> web.Response:
    """The login form."""
    return request.app[LOGIN_PAGE].fresh()


async def post_login(request: web.Request) -> web.Response:
    """JSON gets tokens in the body, a form gets the cookie and 302 to the page."""
    if request.content_type == JSON:
        credentials = await json_body(request, Credentials, MAX_BODY_BYTES)
        return _answer(await _logged_in(request, credentials))
    if request.content_type not in FORMS:
        raise UnsupportedMediaType(f"send a form or {JSON} instead of {request.content_type}")
    return await _log_in_by_form(request)


async def get_logout(request: web.Request) -> web.Response:
    """End the cookie's session and go to the login form, whether or not anybody was logged in."""
    request.app[DOOR].check_site(request)
    response = _see("/login")
    with contextlib.suppress(Unauthorized):
        await _end_session(request)
    request.app[DOOR].cookie.clear(response)
    return response


async def post_refresh(request: web.Request) -> web.Response:
    """A new access token for the refresh token in the body, or for the cookie."""
    entrance = request.app[DOOR]
    if request.content_type == JSON and request.can_read_body:
        token = (await json_body(request, RefreshBody, MAX_BODY_BYTES)).refresh_token
    else:
        token = (await entrance.presented(request)).token
    return _answer(await entrance.authority.refresh(token))


async def post_logout(request: web.Request) -> web.Response:
    """End the session of the bearer token or the cookie at every gateway; `everywhere`, all of its user's."""
    await _end_session(request)
    response = web.Response(status=204)
    request.app[DOOR].cookie.clear(response)
    return response


async def get_me(request: web.Request) -> web.Response:
    """Who the caller is."""
    entrance = request.app[DOOR]
    identity = (await entrance.presented(request)).identity
    me = Me(username=identity.user, roles=identity.roles, scopes=identity.scopes, notice=entrance.notice)
    return json_response(me, headers=NO_STORE)


async def get_keys(request: web.Request) -> web.Response:
    """The public keys that verify access tokens, as a JWK set (RFC 7517)."""
    return json_response(KeySet(keys=await request.app[DOOR].keys.listed()), headers=KEYS_HEADERS)


async def _log_in_by_form(request: web.Request) -> web.Response:
    entrance = request.app[DOOR]
    try:
        entrance.check_origin(request)
        tokens = await _logged_in(request, await _form(request))
    except WrongOrigin:
        raise
    except HttpError as error:
        return request.app[LOGIN_PAGE].refused(error)
    response = _see("/")
    entrance.cookie.set(response, tokens.refresh_token, tokens.refresh_expires_in)
    return response


def _see(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location, **NO_STORE})


async def _logged_in(request: web.Request, credentials: Credentials) -> Tokens:
    entrance = request.app[DOOR]
    return await entrance.authority.log_in(
        credentials.username, credentials.password, entrance.address(request)
    )


async def _end_session(request: web.Request) -> None:
    entrance = request.app[DOOR]
    presented = await entrance.presented(request)
    await entrance.authority.revoke(presented.token, everywhere=_everywhere(request))
    entrance.revocations.add(presented.identity.session)


def _everywhere(request: web.Request) -> bool:
    asked = request.query.get("everywhere", "false")
    if asked not in ("true", "false"):
        raise InvalidRequest(f"everywhere is true or false, not {asked[:20]!r}", field="everywhere")
    return asked == "true"


def _answer(tokens: Tokens) -> web.Response:
    answer = LoginAnswer(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        refresh_expires_in=tokens.refresh_expires_in,
    )
    return json_response(answer, headers=NO_STORE)


async def _form(request: web.Request) -> Credentials:
    try:
        async with in_time(request):
            form = await request.clone(client_max_size=MAX_BODY_BYTES).post()
        return msgspec.convert(
            {"username": form.get("username"), "password": form.get("password")}, Credentials
        )
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except (ValueError, LookupError):  # fields are missing, or not in the character set they claim
        raise InvalidRequest("the form needs a username and a password") from None


def _too_large() -> TooLarge:
    return TooLarge(f"a login takes at most {MAX_BODY_BYTES} bytes")


ROUTES = (
    Route(Access.OPEN, web.get("/login", get_login)),
    Route(Access.OPEN, web.post("/login", post_login)),
    Route(Access.OPEN, web.get("/logout", get_logout)),
    Route(Access.OPEN, web.post("/v1/auth/refresh", post_refresh)),
    Route(Access.SESSION, web.post("/v1/auth/logout", post_logout)),
    Route(Access.KNOWN, web.get("/v1/me", get_me)),
    Route(Access.OPEN, web.get("/.well-known/jwks.json", get_keys)),
)
"""Every route of this module; `GET /logout` and the refresh look themselves for what is presented."""
