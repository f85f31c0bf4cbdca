"""Personal access tokens: what programs carry in place of a password."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import quote

import msgspec

from client.retrying import patiently
from client.session import Session, json

Scope = Literal["read", "transcribe"]


class TokenHead(msgspec.Struct, frozen=True):
    """A token without the token itself."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class NewToken(TokenHead, frozen=True, kw_only=True):
    """A token that was just made: the only time that the server tells it."""

    token: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r}, name={self.name!r}, token=...)"


class _Tokens(msgspec.Struct, frozen=True):
    tokens: tuple[TokenHead, ...]


class AccessTokens:
    """Makes, lists and revokes tokens; the server lets only a user with a password do so."""

    def __init__(self, connected: Callable[[], Session], patience_seconds: float) -> None:
        self._connected = connected
        self._patience_seconds = patience_seconds

    async def create(
        self,
        name: str,
        scopes: Sequence[Scope] = ("read", "transcribe"),
        *,
        expires_in_days: int | None = None,
    ) -> NewToken:
        """Make a token; not tried again by itself, since each try makes one."""
        body: dict[str, object] = {"name": name, "scopes": list(scopes)}
        if expires_in_days is not None:
            body["expires_in_days"] = expires_in_days
        return await self._connected().post("/v1/tokens", NewToken, json(body))

    async def list(self) -> tuple[TokenHead, ...]:
        """The tokens that have neither expired nor been revoked."""
        connection = self._connected()
        found = await patiently(lambda: connection.get("/v1/tokens", _Tokens), self._patience_seconds)
        return found.tokens

    async def revoke(self, token_id: str) -> None:
        """End a token at once."""
        path = f"/v1/tokens/{quote(token_id, safe='')}"
        connection = self._connected()
        await patiently(lambda: connection.send("DELETE", path), self._patience_seconds)
