"""Checks tokens with auth's public keys, which are kept here so that auth is not asked each time."""

import time
from collections import OrderedDict

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
MOST_GENUINE = 5_000
"""Tokens that need no check of their signature again, each of some 2 KB; that takes longer than the rest."""
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
        self._genuine: OrderedDict[str, tuple[Keys, Claims]] = OrderedDict()
        """Tokens whose signature was found good, with the keys that were known then."""
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
        keys, claims = self._genuine.get(token, (None, None))
        if keys is listed and claims is not None and _lives(claims):
            self._genuine.move_to_end(token)
            return claims
        try:
            found = verified(token, _by_id(listed).get, RULES, Claims)
        except UnknownKey as error:
            self._unknown = error.kid
            listed = await self._listed.get(newest=True)
            found = verified(token, _by_id(listed).get, RULES, Claims)
        self._genuine[token] = listed, found
        while len(self._genuine) > MOST_GENUINE:
            self._genuine.popitem(last=False)
        return found

    async def _ask(self) -> Keys:
        return await self._authority.keys(self._unknown)


def _lives(claims: Claims) -> bool:
    """Whether a token is neither expired nor from the future; the sentence for one that is has the check."""
    now = time.time()
    return claims.iat <= now + RULES.leeway_seconds and now - RULES.leeway_seconds < claims.exp


def _by_id(keys: Keys) -> dict[str, Ed25519PublicKey]:
    return {key.kid: public_key(key.x) for key in keys.keys}
