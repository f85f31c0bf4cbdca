"""Questions to the auth service, with its refusals as our errors."""

from typing import TypeVar

import msgspec

from services.common.bus import Bus
from services.common.errors import BrokerUnavailable
from services.contracts.claims import (
    AuthReply,
    AuthRequest,
    GetKeys,
    Keys,
    ListedToken,
    ListTokens,
    Login,
    MakeToken,
    NoteUses,
    Refresh,
    Refused,
    Revoke,
    Revoked,
    RevokeTokens,
    TokenMade,
    Tokens,
    TokensListed,
    TokensRevoked,
    TokenUse,
    UsesNoted,
)
from services.contracts.personal_tokens import Scope, sha256_of
from services.contracts.topology import AUTH_REQUESTS
from services.gateway.errors import (
    HttpError,
    InvalidRequest,
    SlowDown,
    TooManyTokens,
    Unauthorized,
    Unavailable,
)

ANSWER_SECONDS = 20.0
"""Longer than auth allows itself, so that its own answer comes first."""
RETRY_SECONDS = 5.0

R = TypeVar("R", bound=msgspec.Struct)

_REPLY: msgspec.json.Decoder[AuthReply] = msgspec.json.Decoder(AuthReply)


class Authority:
    """The auth service as the gateway sees it; raises `Unauthorized`, `SlowDown`, `Unavailable`, and what a
    personal access token is refused for."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def log_in(self, username: str, password: str, address: str) -> Tokens:
        """Exchange a password for tokens."""
        return _expected(
            await self._asked(Login(username=username, password=password, address=address)), Tokens
        )

    async def refresh(self, token: str) -> Tokens:
        """Exchange a refresh token for a new access token."""
        return _expected(await self._asked(Refresh(refresh_token=token)), Tokens)

    async def revoke(self, token: str, *, everywhere: bool) -> None:
        """End the token's session, or every session of its user."""
        _expected(await self._asked(Revoke(token=token, everywhere=everywhere)), Revoked)

    async def keys(self, unknown: str | None) -> Keys:
        """The public keys; `unknown` is the id of one we met and do not know."""
        return _expected(await self._asked(GetKeys(kid=unknown)), Keys)

    async def make_token(
        self, proof: str, text: str, *, name: str, scopes: tuple[Scope, ...], days: int | None
    ) -> ListedToken:
        """Have a personal access token stored for whoever logged in with the `proof`."""
        asked = MakeToken(proof=proof, name=name, scopes=scopes, days=days, sha256=sha256_of(text))
        return _expected(await self._asked(asked), TokenMade).token

    async def list_tokens(self, proof: str) -> TokensListed:
        """Their tokens."""
        return _expected(await self._asked(ListTokens(proof=proof)), TokensListed)

    async def revoke_tokens(self, proof: str, token: str | None) -> int:
        """End one of their tokens, or all; how many that were."""
        return _expected(await self._asked(RevokeTokens(proof=proof, id=token)), TokensRevoked).count

    async def note_uses(self, uses: tuple[TokenUse, ...]) -> None:
        """Have it remembered when tokens were used."""
        _expected(await self._asked(NoteUses(uses=uses)), UsesNoted)

    async def _asked(self, request: AuthRequest) -> AuthReply:
        try:
            data = await self._bus.request(
                AUTH_REQUESTS, msgspec.json.encode(request), timeout_seconds=ANSWER_SECONDS
            )
        except BrokerUnavailable as error:
            raise Unavailable(
                "logging in and changing tokens are not possible right now; try again soon",
                retry_after=RETRY_SECONDS,
            ) from error
        reply = _REPLY.decode(data)
        if isinstance(reply, Refused):
            raise _refusal(reply)
        return reply


def _expected(reply: AuthReply, kind: type[R]) -> R:
    if not isinstance(reply, kind):
        raise TypeError(f"auth answered {type(reply).__name__} instead of {kind.__name__}")
    return reply


def _refusal(refused: Refused) -> HttpError:
    match refused.code:
        case "bad_credentials" | "bad_token":
            return Unauthorized(refused.message)
        case "invalid_request":
            return InvalidRequest(refused.message, field=refused.field)
        case "too_many_tokens":
            return TooManyTokens(refused.message)
        case "slow_down":
            return SlowDown(refused.message, retry_after=refused.retry_after)
        case _:
            return Unavailable(refused.message, retry_after=refused.retry_after or RETRY_SECONDS)
