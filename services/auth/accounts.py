"""Who may log in: the accounts in the secret, cached, and good for a while when AWS is down."""

import asyncio
import contextlib
import time
from collections.abc import Collection

import msgspec
import structlog
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.low_level import Type
from prometheus_client import Counter, Gauge

from services.auth.secrets import RETRY_SECONDS, SecretMissing, Secrets, SecretsUnavailable
from services.common.cached import Cached
from services.common.errors import Permanent, ServiceError, Transient

log = structlog.get_logger()

MAX_USER_CHARACTERS = 256

READS = Counter("whisper_auth_account_reads_total", "Reads of the accounts' secret", ["outcome"])
LAST_READ = Gauge("whisper_auth_accounts_read_timestamp_seconds", "When the accounts in use were read")


class MalformedAccounts(Permanent):
    """The secret is not what it should be; the message never quotes a value."""

    code = "malformed_accounts"


for outcome in ("read", MalformedAccounts.code, SecretMissing.code, SecretsUnavailable.code):
    READS.labels(outcome)


class AccountsUnavailable(Transient):
    """The accounts can be neither read nor taken from memory."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One user: a password as the secret has it, or its argon2id hash."""

    user: str
    password: str | None = None
    password_hash: str | None = None
    roles: tuple[str, ...] = ()


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password_hash: str
    roles: tuple[str, ...] = ()


def parse(text: str) -> dict[str, Account]:
    """The accounts of a secret: a JSON object of user to password or `{"password_hash", "roles"}`.

    Raises `MalformedAccounts` naming the user at fault.
    """
    try:
        users = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise MalformedAccounts("the secret is not a JSON object of user names") from None
    if not users:
        raise MalformedAccounts("the secret names no user")
    return {user: _account(user, value) for user, value in users.items()}


def _account(user: str, value: object) -> Account:
    if not 1 <= len(user) <= MAX_USER_CHARACTERS or not user.isprintable():
        raise MalformedAccounts(
            f"user name {user[:40]!r} must have 1 to {MAX_USER_CHARACTERS} printable characters"
        )
    if isinstance(value, str):
        if not value:
            raise MalformedAccounts(f"user {user!r} has an empty password")
        return Account(user=user, password=value)
    try:
        entry = msgspec.convert(value, _Entry)
    except msgspec.ValidationError:
        entry = None
    if entry is None or not _is_argon2id(entry.password_hash):
        raise MalformedAccounts(
            f"user {user!r} has neither a password nor an argon2id password_hash with optional roles: "
            "make a hash with `python -m services.auth hash-password`"
        )
    return Account(user=user, password_hash=entry.password_hash, roles=entry.roles)


def _is_argon2id(text: str) -> bool:
    try:
        found = extract_parameters(text)
    except InvalidHashError:
        return False
    return found.type is Type.ID and found.salt_len >= 8 and found.hash_len >= 16


class Accounts:
    """The accounts as last read."""

    def __init__(
        self,
        secrets: Secrets,
        name: str,
        *,
        cache_seconds: float,
        refresh_seconds: float,
        outage_seconds: float,
    ) -> None:
        self._secrets = secrets
        self._name = name
        self._outage_seconds = outage_seconds
        self._known: Cached[dict[str, Account]] = Cached(
            self._read, keep_seconds=cache_seconds, retry_seconds=refresh_seconds
        )
        self.somebody_left = asyncio.Event()
        """Set when a user who had an account has none any more."""

    async def warm(self) -> None:
        """Read the accounts ahead of the first login, so that the log tells at once what is wrong."""
        with contextlib.suppress(ServiceError):
            await self._known.get()

    async def find(self, user: str, *, newest: bool = False) -> Account | None:
        """The user's account, or None when there is none.

        For an unknown user, and with `newest`, the secret is read again first. Raises
        `AccountsUnavailable` when that fails and memory does not help.
        """
        unknown = user not in (self._known.value or {})
        try:
            account = (await self._known.get(newest=newest or unknown)).get(user)
        except ServiceError as error:
            raise _unavailable() from error
        if self._known.error is None or (account is not None and self._still_good()):
            return account
        raise _unavailable() from self._known.error

    async def read_since(self, moment: float) -> Collection[str] | None:
        """Every user's name, as read after this moment (monotonic); None where that is not possible now."""
        with contextlib.suppress(ServiceError):
            known = await self._known.get(newest=True)
            if time.monotonic() - self._known.age_seconds >= moment:
                return known.keys()
        return None

    def _still_good(self) -> bool:
        """Whether older accounts may stand in: in an outage for a while, for a broken secret until mended."""
        broken = isinstance(self._known.error, MalformedAccounts)
        return broken or self._known.age_seconds <= self._outage_seconds

    async def _read(self) -> dict[str, Account]:
        try:
            accounts = parse((await self._secrets.read(self._name)).text)
        except ServiceError as error:
            READS.labels(error.code).inc()
            kept = len(self._known.value or {})
            log.warning("accounts_not_read", secret=self._name, error=str(error), kept_accounts=kept)
            raise
        if (self._known.value or {}).keys() - accounts.keys():
            self.somebody_left.set()
        READS.labels("read").inc()
        LAST_READ.set_to_current_time()
        return accounts


def _unavailable() -> AccountsUnavailable:
    return AccountsUnavailable(
        "the accounts cannot be read right now; try again in a moment", retry_after=RETRY_SECONDS
    )
