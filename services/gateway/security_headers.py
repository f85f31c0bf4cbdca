"""Headers of every answer that tell browsers how little it may do (pages: MDN HTTP Observatory, A+)."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from multidict import CIMultiDict

from services.gateway.answers import JSON_TYPE
from services.gateway.middleware import identify

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
TRUSTED_TYPES = "require-trusted-types-for 'script'; trusted-types 'none'"
"""No script of ours writes HTML, so none may."""
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; {TRUSTED_TYPES}",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""Answers that may be kept say so themselves; the others are somebody's own words."""
API_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    **{
        name: HEADERS[name]
        for name in (
            "X-Content-Type-Options",
            "X-Frame-Options",
            "Cross-Origin-Resource-Policy",
            "Cache-Control",
        )
    },
}
"""What JSON needs, which no browser draws as a page (OWASP REST Security Cheat Sheet); all of them would be
400 bytes more in each answer."""
ONLY_HTTPS = {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
"""Two years; sent only where browsers come by HTTPS, as it binds the host."""

Preparing = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def secured(public_url: str) -> Preparing:
    """What to do with each answer before its head is sent."""
    more = ONLY_HTTPS if public_url.startswith("https:") else {}
    pages, json = CIMultiDict(HEADERS | more), CIMultiDict(API_HEADERS | more)

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        identify(request, response)
        response.headers.merge(json if response.headers.get("Content-Type") == JSON_TYPE else pages)
        response.headers.popall("Server", None)  # aiohttp's, with its version

    return prepare
