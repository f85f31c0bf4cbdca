"""What each route of the router asks of its caller: by rule, with the exceptions named, and enforced."""

import json

from aiohttp import web

from services.gateway.access import Access, Route, check
from services.gateway.app import ROUTES
from services.gateway.errors import Forbidden
from services.gateway.identity import Identity
from tests.gateways import Gateway, address

READING, WRITING = Access.READ, Access.TRANSCRIBE
EXCEPTIONS = {
    ("GET", "/"): Access.SESSION,
    ("GET", "/settings"): Access.SESSION,
    ("GET", "/docs"): Access.OPEN,
    ("GET", "/openapi.json"): Access.OPEN,
    ("GET", "/static/{path:.+}"): Access.OPEN,
    ("GET", "/login"): Access.OPEN,
    ("POST", "/login"): Access.OPEN,
    ("GET", "/logout"): Access.OPEN,
    ("POST", "/v1/auth/refresh"): Access.OPEN,
    ("POST", "/v1/auth/logout"): Access.SESSION,
    ("GET", "/v1/me"): Access.KNOWN,
    ("GET", "/v1/webhooks/secret"): Access.SESSION,
    ("POST", "/v1/webhooks/secret"): Access.SESSION,
    ("POST", "/v1/tokens"): Access.SESSION,
    ("GET", "/v1/tokens"): Access.SESSION,
    ("DELETE", "/v1/tokens"): Access.SESSION,
    ("DELETE", "/v1/tokens/{token}"): Access.SESSION,
    ("GET", "/.well-known/jwks.json"): Access.OPEN,
    ("GET", "/v1/models"): Access.KNOWN,
    ("GET", "/v1/models/{model}"): Access.KNOWN,
}
"""Routes that ask for something else than `expected` says by their method; a reviewer reads this list."""
CALLERS = {
    "a login": ({}, {Access.KNOWN, READING, WRITING, Access.SESSION}),
    "an administrator": (
        {"X-Roles": "admin"},
        {Access.KNOWN, READING, WRITING, Access.SESSION, Access.ADMIN},
    ),
    "a user of another role": ({"X-Roles": "user"}, {Access.KNOWN, READING, WRITING, Access.SESSION}),
    "a token to read": ({"X-Scopes": "read"}, {Access.KNOWN, READING}),
    "a token to transcribe": ({"X-Scopes": "transcribe"}, {Access.KNOWN, WRITING}),
    "a token for both": ({"X-Scopes": "read transcribe"}, {Access.KNOWN, READING, WRITING}),
    "an administrator's token": (
        {"X-Scopes": "read transcribe", "X-Roles": "admin"},
        {Access.KNOWN, READING, WRITING},
    ),
}
"""Headers that `tests.gateways.identify` believes, and what their bearer may do."""


def expected(route: Route) -> Access:
    """By path and method, but for the exceptions."""
    if route.path.startswith("/v1/admin/"):
        return Access.ADMIN
    return EXCEPTIONS.get((route.method, route.path), READING if route.method == "GET" else WRITING)


def test_every_route_asks_for_what_its_path_and_method_say() -> None:
    """A new route that asks for less, or for something else, fails until it is named above."""
    asked = {(route.method, route.path): route.access for route in ROUTES}
    assert asked == {(route.method, route.path): expected(route) for route in ROUTES}
    assert EXCEPTIONS.keys() <= asked.keys()


async def test_the_router_has_no_route_past_the_table(gateway: Gateway) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in gateway.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    static = {("GET", "/static/{path}")}  # aiohttp shows a pattern without its expression
    assert served - static == {
        (route.method, route.path) for route in ROUTES if not route.path.startswith("/static/")
    }


async def test_every_route_lets_in_whom_it_asks_for_and_nobody_else(gateway: Gateway) -> None:
    """The answers of those who may come in differ; what counts is that they are not turned away."""
    guarded = [route for route in ROUTES if route.access is not Access.OPEN]
    assert {route.access for route in guarded} >= {READING, WRITING, Access.SESSION, Access.KNOWN}
    for name, (headers, may) in CALLERS.items():
        for route in guarded:
            async with gateway.request(route.method, address(route), headers=headers) as answer:
                where = f"{name} at {route.method} {route.path}: {answer.status}"
                assert (answer.status != 403) is (route.access in may), where


async def test_a_refusal_says_what_was_needed(gateway: Gateway) -> None:
    reader = {"X-Scopes": "read"}
    refused = await gateway.json("POST", "/v1/jobs", 403, headers=reader)
    assert refused["error"]["code"] == "insufficient_scope"
    assert "transcribe" in refused["error"]["message"]
    refused = await gateway.json("POST", "/v1/auth/logout", 403, headers=reader)
    assert refused["error"]["code"] == "forbidden"
    async with gateway.request("POST", "/api/hotwords", headers=reader) as answer:
        assert (answer.status, "transcribe" in json.loads(await answer.text())["error"]) == (403, True)


async def test_a_route_for_administrators_lets_in_no_other() -> None:
    """Whatever routes there are: the check itself, for logins and tokens with and without the role."""
    route = Route(Access.ADMIN, web.get("/v1/admin/x", lambda _request: None))  # type: ignore[arg-type, return-value]
    assert let_in(route, roles=("admin",))
    assert let_in(route, roles=("user", "admin"))
    for roles in ((), ("user",), ("Admin",), ("admin ",)):
        assert not let_in(route, roles=roles)
    assert not let_in(route, roles=("admin",), scopes=("read", "transcribe"))


def let_in(route: Route, **proof: object) -> bool:
    try:
        check(Identity(user="ann", owner="o", session="s", **proof), route.access)  # type: ignore[arg-type]
    except Forbidden:
        return False
    return True
