"""Checking passwords: always one argon2id computation, whoever the user is, off the event loop."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from prometheus_client import Gauge, Histogram

from services.auth.accounts import Account
from services.common.errors import Transient

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's parameters for argon2id: 35 ms of CPU and 19 MiB a check."""
MAX_PASSWORD_CHARACTERS = 1024

WAITING = Gauge("whisper_auth_password_checks_waiting", "Passwords being checked or waiting for it")
SECONDS = Histogram(
    "whisper_auth_password_check_seconds",
    "Time to check a password, waiting included",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


class TooManyLogins(Transient):
    """More passwords wait to be checked than the queue takes."""


class Passwords:
    """Checks passwords in a few threads with a bounded queue."""

    def __init__(self, *, threads: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._room = threads + queue
        self._in_hand = 0
        self._nobodys_hash = _hash_of_nothing()

    def close(self) -> None:
        """Let the threads end once they are done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def match(self, account: Account | None, password: str) -> bool:
        """Whether this is the account's password; without an account it takes as long and is False."""
        if self._in_hand >= self._room:
            raise TooManyLogins("too many people are logging in; try again in a moment", retry_after=2.0)
        with self._counted(), SECONDS.time():
            matches = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._matches, account, password[:MAX_PASSWORD_CHARACTERS]
            )
        return matches and len(password) <= MAX_PASSWORD_CHARACTERS

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._in_hand += 1
        WAITING.set(self._in_hand)
        try:
            yield
        finally:
            self._in_hand -= 1
            WAITING.set(self._in_hand)

    def _matches(self, account: Account | None, password: str) -> bool:
        kept_hash = account.password_hash if account else None
        kept_text = account.password if account else None
        hash_fits = _verified(kept_hash or self._nobodys_hash, password)
        text_fits = _same(kept_text or "", password)
        return hash_fits if kept_hash else text_fits and kept_text is not None


def hashed(password: str) -> str:
    """The argon2id hash of a password, as it may stand in the secret."""
    return HASHER.hash(password)


def _verified(kept: str, password: str) -> bool:
    try:
        return HASHER.verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False


def _same(kept: str, given: str) -> bool:
    """Compare in a time that tells neither content nor length."""
    return hmac.compare_digest(
        hashlib.sha256(kept.encode()).digest(), hashlib.sha256(given.encode()).digest()
    )


def _hash_of_nothing() -> str:
    """A hash of our parameters that no password is known to have: made of random bytes."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode() for length in (16, 32)
    )
    return (
        f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}${salt}${digest}"
    )
