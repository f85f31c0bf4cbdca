"""Whose the tokens are that were found good a moment ago: a check takes longer than all else of a request."""

import time
from collections import OrderedDict

import msgspec

from services.contracts.claims import Claims, TokenType
from services.gateway.identity import Identity

KEEP_SECONDS = 60.0
"""So much longer a token is good whose key is withdrawn. Sessions that end are none of this: see the door."""
MOST_KEPT = 5_000
"""Tokens in memory, each of some 2 KB; those not used for longest go first."""


class Kept(msgspec.Struct, frozen=True):
    """A token that was good."""

    type: TokenType
    identity: Identity
    until: float
    """Monotonic."""


class Proven:
    """Tokens of logins, with what was found of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def recall(self, token: str, wanted: TokenType) -> Identity | None:
        """Whose it is; None where it has to be checked."""
        kept = self._kept.get(token)
        if kept is None or kept.type is not wanted or time.monotonic() >= kept.until:
            return None
        self._kept.move_to_end(token)
        return kept.identity

    def remember(self, token: str, claims: Claims, identity: Identity) -> None:
        """It was found good just now."""
        left = min(KEEP_SECONDS, claims.exp - time.time())
        self._kept[token] = Kept(claims.typ, identity, time.monotonic() + left)
        self._kept.move_to_end(token)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
