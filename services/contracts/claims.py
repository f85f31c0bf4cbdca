"""Requests to the auth service, its answers, and what a token says about its bearer."""

from enum import StrEnum

import msgspec

ISSUER = "whisper-webui"
AUDIENCE = "whisper-webui"
ALGORITHM = "EdDSA"
MAX_TOKEN_BYTES = 4096


class TokenType(StrEnum):
    """What a token may be used for; a refresh token never opens an API route by itself."""

    ACCESS = "access"
    REFRESH = "refresh"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of our JWTs (RFC 7519); times are Unix seconds."""

    iss: str
    aud: str
    sub: str
    """User name."""
    typ: TokenType
    sid: str
    """Session: shared by the access and refresh tokens of one login, revoked as one."""
    jti: str
    iat: int
    exp: int
    roles: tuple[str, ...] = ()


class Login(msgspec.Struct, frozen=True, kw_only=True, tag="auth.login.v1"):
    """Exchange a password for tokens; `address` is the client's, for slowing guesses."""

    username: str
    password: str
    address: str


class Refresh(msgspec.Struct, frozen=True, kw_only=True, tag="auth.refresh.v1"):
    """Exchange a refresh token for a new access token of the same session."""

    refresh_token: str


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="auth.revoke.v1"):
    """End the session that this token, access or refresh, belongs to."""

    token: str
    everywhere: bool = False
    """And every other session that its user has by now."""


class GetKeys(msgspec.Struct, frozen=True, kw_only=True, tag="auth.keys.v1"):
    """Ask for the public keys that verify tokens."""

    kid: str | None = None
    """A key that the asker met and does not know, so that it is looked for even in a fresh cache."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True, tag="auth.tokens.v1"):
    """A successful login or refresh; lifetimes in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class Revoked(msgspec.Struct, frozen=True, kw_only=True, tag="auth.revoked.v1"):
    """The session is over, everywhere."""


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """One Ed25519 public key as a JWK (RFC 8037)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = ALGORITHM
    use: str = "sig"


class Keys(msgspec.Struct, frozen=True, kw_only=True, tag="auth.keys_listed.v1"):
    """Every key that a live token may be signed with, and the next one."""

    keys: tuple[PublicKey, ...]


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="auth.refused.v1"):
    """The request was understood and denied."""

    code: str
    """`bad_credentials`, `slow_down`, `bad_token` or `unavailable`."""
    message: str
    retry_after: float | None = None
    """Seconds to wait, with `slow_down` and `unavailable`."""


AuthRequest = Login | Refresh | Revoke | GetKeys
AuthReply = Tokens | Revoked | Keys | Refused


class RevokedSession(msgspec.Struct, frozen=True, kw_only=True, tag="session.revoked.v1"):
    """Stored under a session's id, or a mark for all of a user's, until the last token has expired anyway."""

    sid: str
    expires_at: float
