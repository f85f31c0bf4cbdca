"""Checks tokens with auth's public keys, which are kept here so that auth is not asked each time."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.common.cached import Cached
from services.common.tokens import BadToken, Rules, UnknownKey, public_key, verified
from services.contracts.claims import (
    AUDIENCE,
    ISSUER,
    MAX_TOKEN_BYTES,
    Claims,
    Keys,
    PublicKey,
    TokenType,
)
from services.contracts.topology import DAY_SECONDS
from services.gateway.authority import Authority
from services.gateway.errors import Unauthorized

KEEP_SECONDS = 300.0
UNKNOWN_SECONDS = 10.0
"""Tokens with made-up key ids make us ask at most this often."""
LONGEST_SECONDS = 31 * int(DAY_SECONDS)
"""No session may be set to live longer; auth's default is a week."""

RULES = Rules(issuer=ISSUER, audience=AUDIENCE, longest_seconds=LONGEST_SECONDS, max_bytes=MAX_TOKEN_BYTES)


class PublicKeys:
    """The keys of the moment; while auth is away the last ones known serve on."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._unknown: str | None = None
        self._listed: Cached[Keys] = Cached(
            self._ask, keep_seconds=KEEP_SECONDS, retry_seconds=UNKNOWN_SECONDS
        )

    async def listed(self) -> tuple[PublicKey, ...]:
        """As the API shows them."""
        return (await self._listed.get()).keys

    async def check(self, token: str, wanted: TokenType) -> Claims:
        """The claims of a genuine token of this type; raises `Unauthorized`."""
        try:
            claims = await self._verified(token)
        except BadToken as error:
            raise Unauthorized(f"{error}: log in again, or send a personal access token") from error
        if claims.typ is not wanted:
            raise Unauthorized(f"a token of type {wanted} is needed here, this is one of type {claims.typ}")
        return claims

    async def _verified(self, token: str) -> Claims:
        listed = await self._listed.get()
        try:
            return verified(token, _by_id(listed).get, RULES, Claims)
        except UnknownKey as error:
            self._unknown = error.kid
            listed = await self._listed.get(newest=True)
            return verified(token, _by_id(listed).get, RULES, Claims)

    async def _ask(self) -> Keys:
        return await self._authority.keys(self._unknown)


def _by_id(keys: Keys) -> dict[str, Ed25519PublicKey]:
    return {key.kid: public_key(key.x) for key in keys.keys}
