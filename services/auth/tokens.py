"""The tokens of a session: made at login, renewed from the refresh token, checked when they come back."""

import secrets
import time

from prometheus_client import Counter

from services.auth.keys import KeySet
from services.common.cached import Cached
from services.common.tokens import BadToken, Rules, UnknownKey, signed, verified
from services.contracts.claims import AUDIENCE, ISSUER, MAX_TOKEN_BYTES, Claims, Tokens, TokenType
from services.contracts.identifiers import owner_token
from services.contracts.sessions import session_id

ISSUED = Counter("whisper_auth_tokens_issued_total", "Tokens given out", ["kind"])
ACCESS, REFRESH, PERSONAL = (ISSUED.labels(kind) for kind in ("access", "refresh", "personal"))


class Issuer:
    """Signs and checks tokens with the keys of the moment."""

    def __init__(self, keys: Cached[KeySet], *, access_seconds: int, refresh_seconds: int) -> None:
        self._keys = keys
        self._access_seconds = access_seconds
        self._refresh_seconds = refresh_seconds
        self._rules = Rules(
            issuer=ISSUER,
            audience=AUDIENCE,
            longest_seconds=max(access_seconds, refresh_seconds),
            max_bytes=MAX_TOKEN_BYTES,
        )

    async def log_in(self, user: str, roles: tuple[str, ...], begins: float) -> Tokens:
        """The two tokens of a new session, which began at this time (Unix seconds)."""
        now, session = int(time.time()), session_id(owner_token(user), begins)
        keys = await self._keys.get()
        refresh = self._claims(TokenType.REFRESH, user, roles, session, now, self._refresh_seconds)
        access = self._claims(TokenType.ACCESS, user, roles, session, now, self._access_seconds)
        REFRESH.inc()
        ACCESS.inc()
        return Tokens(
            access_token=signed(access, keys.private, keys.kid),
            expires_in=self._access_seconds,
            refresh_token=signed(refresh, keys.private, keys.kid),
            refresh_expires_in=self._refresh_seconds,
        )

    async def renew(self, token: str, claims: Claims, roles: tuple[str, ...]) -> Tokens:
        """A new access token; the refresh `token` keeps its end, so that every session has one."""
        now = int(time.time())
        left = max(0, claims.exp - now)
        seconds = min(self._access_seconds, left)
        keys = await self._keys.get()
        access = self._claims(TokenType.ACCESS, claims.sub, roles, claims.sid, now, seconds)
        ACCESS.inc()
        return Tokens(
            access_token=signed(access, keys.private, keys.kid),
            expires_in=seconds,
            refresh_token=token,
            refresh_expires_in=left,
        )

    async def check(self, token: str, *wanted: TokenType) -> Claims:
        """The claims of a genuine token of a wanted type; raises `BadToken`."""
        keys = await self._keys.get()
        try:
            claims = verified(token, keys.public.get, self._rules, Claims)
        except UnknownKey:  # another process may have rotated the keys
            keys = await self._keys.get(newest=True)
            claims = verified(token, keys.public.get, self._rules, Claims)
        if claims.typ not in wanted:
            raise BadToken(f"this needs a token of type {' or '.join(wanted)}, not {claims.typ}")
        return claims

    def _claims(
        self, typ: TokenType, user: str, roles: tuple[str, ...], session: str, now: int, seconds: int
    ) -> Claims:
        return Claims(
            iss=ISSUER,
            aud=AUDIENCE,
            sub=user,
            typ=typ,
            sid=session,
            jti=secrets.token_hex(8),
            iat=now,
            exp=now + seconds,
            roles=roles,
        )
