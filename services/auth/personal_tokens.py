"""Personal access tokens: made, listed and revoked for their owners, and told when they were used."""

import asyncio

import msgspec
import structlog

from services.auth.tokens import PERSONAL
from services.common.bus import Bus
from services.common.documents import Documents
from services.common.errors import Permanent
from services.contracts import topology
from services.contracts.claims import ListedToken, MakeToken, TokensListed, TokenUse
from services.contracts.identifiers import owner_token
from services.contracts.personal_tokens import (
    DEFAULT_DAYS,
    MAX_NAME_CHARACTERS,
    LastUse,
    PersonalToken,
    Scope,
    id_of,
    is_sha256,
)
from services.contracts.topology import DAY_SECONDS, Stream

log = structlog.get_logger()

AT_ONCE = 16
"""Records read or written side by side."""
MOST_USES = 500
"""That are noted of one message."""
STORED_TOKENS_FACTOR = 10
"""So many times a user's tokens may be stored, with those that were revoked within the last days."""


class TokenRefused(Permanent):
    """A token cannot be made like this; `field` is what is at fault."""

    code = "invalid_request"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class PersonalTokens:
    """The tokens in NATS, of which only auth writes. `most` a user, for at most `longest_days`."""

    def __init__(self, bus: Bus, *, most: int, longest_days: int) -> None:
        self._bus = bus
        self._most = most
        self._longest_days = longest_days
        self._tokens = Documents(bus, Stream.TOKENS, PersonalToken)
        self._uses = Documents(bus, Stream.TOKENS, LastUse)
        self._making = asyncio.Lock()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def make(self, user: str, asked: MakeToken) -> ListedToken:
        """Store a token; raises `TokenRefused`. The same one twice is the one that is there."""
        owner, now = owner_token(user), await self._bus.now(Stream.TOKENS)
        token = PersonalToken(
            id=id_of(_checked_hash(asked.sha256)),
            owner=owner,
            user=user,
            name=_checked_name(asked.name),
            scopes=_checked_scopes(asked.scopes),
            sha256=asked.sha256,
            created_at=now,
            expires_at=now + self._checked_days(asked.days) * DAY_SECONDS,
        )
        async with self._making:  # or a burst would pass the count
            stored = await self._stored(owner)
            same = next((one for one in stored if one.id == token.id), None)
            if same is None:
                self._check_count(stored, now)
                if await self._tokens.create(topology.personal_token(owner, token.id), token):
                    PERSONAL.inc()
                log.info("personal_token_made", user=user, token=token.id, scopes=token.scopes)
        return await self._listed(same or token)

    async def listed(self, user: str) -> TokensListed:
        """The user's tokens that are still good, the newest first."""
        now = await self._bus.now(Stream.TOKENS)
        good = [token for token in await self._stored(owner_token(user)) if _good(token, now)]
        good.sort(key=lambda token: token.created_at, reverse=True)
        shown = await asyncio.gather(*map(self._listed, good))
        return TokensListed(tokens=tuple(shown), most=self._most, longest_days=self._longest_days)

    async def revoke(self, user: str, token: str) -> int:
        """End one token; how many that were: none where the user has no such token."""
        mine = await self._ids(owner_token(user))
        return await self._revoke(owner_token(user), token) if token in mine else 0

    async def revoke_all(self, owner: str) -> int:
        """End every token of this owner; how many they were. What is left by a crash is ended by a repeat."""
        ended = await asyncio.gather(*(self._revoke(owner, token) for token in await self._ids(owner)))
        return sum(ended)

    async def note(self, uses: tuple[TokenUse, ...]) -> None:
        """Remember when tokens were used; of one that is not there or no longer good nothing is kept."""
        now = await self._bus.now(Stream.TOKENS)
        await asyncio.gather(*(self._note(use, now) for use in uses[:MOST_USES]))

    async def owners(self) -> set[str]:
        """Everybody who has a token stored."""
        subjects = await self._bus.subjects(Stream.TOKENS, topology.personal_token("*", "*"))
        return {topology.token_of_record(subject)[0] for subject in subjects}

    async def count(self, owner: str) -> int:
        """How many good tokens an owner has."""
        now = await self._bus.now(Stream.TOKENS)
        return sum(_good(token, now) for token in await self._stored(owner))

    async def _ids(self, owner: str) -> list[str]:
        subjects = await self._bus.subjects(Stream.TOKENS, topology.personal_token(owner, "*"))
        return [topology.token_of_record(subject)[1] for subject in subjects]

    async def _stored(self, owner: str) -> list[PersonalToken]:
        """Every record of an owner, of revoked and expired tokens too, as the leader knows them."""

        async def read(token: str) -> PersonalToken | None:
            async with self._places:
                return await self._tokens.newest(topology.personal_token(owner, token))

        found = await asyncio.gather(*map(read, await self._ids(owner)))
        return [token for token in found if token is not None]

    async def _listed(self, token: PersonalToken) -> ListedToken:
        async with self._places:
            used = await self._uses.get(topology.token_use(token.owner, token.id))
        return ListedToken(
            id=token.id,
            name=token.name,
            scopes=token.scopes,
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=used.at if used else None,
        )

    async def _revoke(self, owner: str, token: str) -> int:
        now = await self._bus.now(Stream.TOKENS)
        subject = topology.personal_token(owner, token)
        async with self._places:
            before = await self._tokens.newest(subject)
            after = await self._tokens.change(subject, lambda old: _revoked(old, now))
        if before is None or after is None or before.revoked_at is not None:
            return 0
        log.info("personal_token_revoked", user=after.user, token=token)
        return 1

    async def _note(self, use: TokenUse, now: float) -> None:
        async with self._places:
            token = await self._tokens.get(topology.personal_token(use.owner, use.id))
            if token is not None and _good(token, now):
                at = LastUse(at=min(use.at, now))
                subject = topology.token_use(use.owner, use.id)
                await self._uses.change(subject, lambda old: max(old, at, key=lambda one: one.at), default=at)

    def _check_count(self, stored: list[PersonalToken], now: float) -> None:
        good = sum(_good(token, now) for token in stored)
        if good >= self._most:
            raise TokenRefused(
                f"you have {good} tokens, the most that are possible: revoke one first",
                code="too_many_tokens",
            )
        if len(stored) >= self._most * STORED_TOKENS_FACTOR:
            raise TokenRefused(
                f"you have made {len(stored)} tokens lately and revoked most of them; those are forgotten a "
                "week later: make further ones then, and let them live longer",
                code="too_many_tokens",
            )

    def _checked_days(self, days: int | None) -> int:
        if days is None:
            return min(DEFAULT_DAYS, self._longest_days)
        if not 1 <= days <= self._longest_days:
            raise TokenRefused(
                f"expires_in_days is {days}: use a number from 1 to {self._longest_days}",
                field="expires_in_days",
            )
        return days


def _good(token: PersonalToken, now: float) -> bool:
    return token.revoked_at is None and token.expires_at > now


def _revoked(token: PersonalToken, now: float) -> PersonalToken:
    if token.revoked_at is not None:
        return token
    return msgspec.structs.replace(token, revoked_at=now)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise TokenRefused(
            f"the name is {name[: MAX_NAME_CHARACTERS + 1]!r}: "
            f"use 1 to {MAX_NAME_CHARACTERS} printable characters",
            field="name",
        )
    return name


def _checked_scopes(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    if not scopes:
        raise TokenRefused(f"name at least one scope: {', '.join(Scope)}", field="scopes")
    return tuple(scope for scope in Scope if scope in scopes)


def _checked_hash(sha256: str) -> str:
    if not is_sha256(sha256):
        raise TokenRefused("the token's hash is not a SHA-256", field="sha256")
    return sha256
