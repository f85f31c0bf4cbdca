"""Checks personal access tokens by what is stored of them, without asking auth."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from prometheus_client import Counter

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.personal_tokens import PREFIX, Named, PersonalToken, named
from services.contracts.topology import Stream
from services.gateway.errors import Unauthorized
from services.gateway.last_uses import LastUses

KEEP_SECONDS = 60.0
"""How long a record is used without being read again; a wake-up that is lost counts from then on."""
MOST_KEPT = 10_000
"""Records in memory, about 1 KB each; those not used for longest go first."""

REFUSED = Counter("whisper_tokens_refused_total", "Personal access tokens that were refused", ["reason"])
for reason in ("malformed", "unknown", "revoked", "expired", "scope"):
    REFUSED.labels(reason)


class Kept(msgspec.Struct, frozen=True):
    """A record as it was read, and when (monotonic)."""

    token: PersonalToken
    read_at: float


class PersonalTokens:
    """The tokens that are in use, in memory, dropped as soon as a wake-up tells that they changed."""

    def __init__(self, bus: Bus, uses: LastUses, changed: Callable[[], None]) -> None:
        """`changed` is called when a token in use may have been revoked."""
        self.uses = uses
        self._tokens = Documents(bus, Stream.TOKENS, PersonalToken)
        self._changed = changed
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._told = 0
        """How many wake-ups came: what was being read meanwhile may be old already."""

    async def check(self, text: str) -> PersonalToken:
        """The good token with this text; raises `Unauthorized`."""
        known = named(text)
        if known is None:
            raise _refused("malformed", "this is no whole token: copy it again, from its first character on")
        token = await self._found(known.owner, known.id)
        if token is None or not _is(token, known):
            raise _refused("unknown", "this token is not known, or was revoked a while ago: make a new one")
        if token.revoked_at is not None:
            raise _refused("revoked", f"the token {token.name!r} was revoked: make a new one")
        if token.expires_at <= time.time():
            date = datetime.fromtimestamp(token.expires_at, UTC).date()
            raise _refused("expired", f"the token {token.name!r} expired on {date}: make a new one")
        self.uses.note(token)
        return token

    async def stands(self, owner: str, token: str) -> bool:
        """Whether the token was not revoked; it may have expired."""
        found = await self._found(owner, token)
        return found is not None and found.revoked_at is None

    def heard(self, subject: str) -> None:
        """A wake-up: a token was made or revoked."""
        _owner, token = topology.token_of_record(subject)
        self.forget(token)

    def missed(self) -> None:
        """Wake-ups may have been lost."""
        self._told += 1
        self._kept.clear()
        self._changed()

    def forget(self, token: str) -> None:
        """Read this one again before it is used again."""
        self._told += 1
        if self._kept.pop(token, None) is not None:
            self._changed()

    async def _found(self, owner: str, token: str) -> PersonalToken | None:
        kept = self._kept.get(token)
        if kept is not None and time.monotonic() - kept.read_at < KEEP_SECONDS:
            self._kept.move_to_end(token)
            return kept.token
        told, read_at = self._told, time.monotonic()
        found = await self._tokens.newest(topology.personal_token(owner, token))
        if found is not None and told == self._told:
            self._kept[token] = Kept(found, read_at)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found


def is_personal(text: str) -> bool:
    """Whether a bearer's token is meant to be a personal one."""
    return text.startswith(PREFIX)


def _is(token: PersonalToken, known: Named) -> bool:
    return hmac.compare_digest(token.sha256, known.sha256) and token.owner == known.owner


def _refused(reason: str, message: str) -> Unauthorized:
    REFUSED.labels(reason).inc()
    return Unauthorized(message)
