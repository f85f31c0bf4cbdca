"""Requests to the auth service, its answers, and what a token says about its bearer."""

from enum import StrEnum

import msgspec

from services.contracts.personal_tokens import Scope

ISSUER = "whisper-webui"
AUDIENCE = "whisper-webui"
ALGORITHM = "EdDSA"
MAX_TOKEN_BYTES = 4096
ADMIN_ROLE = "admin"


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


class MakeToken(msgspec.Struct, frozen=True, kw_only=True, tag="auth.token_make.v1"):
    """Store a new personal access token of the user whose login's token is the `proof`; twice is once."""

    proof: str
    name: str
    scopes: tuple[Scope, ...]
    days: int | None
    """Until it expires; None leaves that to auth."""
    sha256: str
    """Of its text, which auth never sees."""


class ListTokens(msgspec.Struct, frozen=True, kw_only=True, tag="auth.token_list.v1"):
    """Ask for the personal access tokens of the user whose login's token is the `proof`."""

    proof: str


class RevokeTokens(msgspec.Struct, frozen=True, kw_only=True, tag="auth.token_revoke.v1"):
    """End one of these tokens, or all."""

    proof: str
    id: str | None = None


class TokenUse(msgspec.Struct, frozen=True, kw_only=True):
    """When (Unix seconds) a gateway saw a personal access token last."""

    owner: str
    id: str
    at: float


class NoteUses(msgspec.Struct, frozen=True, kw_only=True, tag="auth.token_uses.v1"):
    """Remember when these tokens were used."""

    uses: tuple[TokenUse, ...]


class Tokens(msgspec.Struct, frozen=True, kw_only=True, tag="auth.tokens.v1"):
    """A successful login or refresh; lifetimes in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class Revoked(msgspec.Struct, frozen=True, kw_only=True, tag="auth.revoked.v1"):
    """The session is over, everywhere."""


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A personal access token as its owner sees it; times are Unix seconds."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float
    last_used_at: float | None = None


class TokenMade(msgspec.Struct, frozen=True, kw_only=True, tag="auth.token_made.v1"):
    """The token is stored."""

    token: ListedToken


class TokensListed(msgspec.Struct, frozen=True, kw_only=True, tag="auth.tokens_listed.v1"):
    """A user's tokens, the newest first, and what they may have."""

    tokens: tuple[ListedToken, ...]
    most: int
    longest_days: int


class TokensRevoked(msgspec.Struct, frozen=True, kw_only=True, tag="auth.tokens_revoked.v1"):
    """So many tokens were ended."""

    count: int


class UsesNoted(msgspec.Struct, frozen=True, kw_only=True, tag="auth.token_uses_noted.v1"):
    """What was known of the tokens is stored."""


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
    """`bad_credentials`, `slow_down`, `bad_token`, `invalid_request`, `too_many_tokens` or `unavailable`."""
    message: str
    retry_after: float | None = None
    """Seconds to wait, with `slow_down` and `unavailable`."""
    field: str | None = None
    """What is at fault, with `invalid_request`."""


AuthRequest = Login | Refresh | Revoke | GetKeys | MakeToken | ListTokens | RevokeTokens | NoteUses
AuthReply = Tokens | Revoked | Keys | TokenMade | TokensListed | TokensRevoked | UsesNoted | Refused


class RevokedSession(msgspec.Struct, frozen=True, kw_only=True, tag="session.revoked.v1"):
    """Stored under a session's id, or a mark for all of a user's, until the last token has expired anyway."""

    sid: str
    expires_at: float
