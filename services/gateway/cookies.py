"""The cookie that keeps a browser logged in: it holds the refresh token, out of reach of scripts."""

from collections.abc import Mapping

from aiohttp import web

NAME = "whisper_session"
SECURE_NAME = f"__Host-{NAME}"
"""Browsers take a cookie of this prefix only over HTTPS, from our own host, for all paths (RFC 6265bis)."""


class SessionCookie:
    """The cookie as this gateway sets it; `secure` where browsers come by HTTPS."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._name = SECURE_NAME if secure else NAME

    def read(self, cookies: Mapping[str, str]) -> str | None:
        """The token in a request's cookies."""
        return cookies.get(self._name)

    def set(self, response: web.StreamResponse, token: str, seconds: int) -> None:
        """Keep the browser logged in for so long."""
        response.set_cookie(
            self._name, token, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="Lax"
        )

    def clear(self, response: web.StreamResponse) -> None:
        """Log the browser out."""
        response.del_cookie(self._name, path="/", secure=self._secure, httponly=True, samesite="Lax")
