"""Takes the personal access tokens from users who are no longer in the accounts' secret."""

import asyncio
import time

import structlog

from services.auth.accounts import Accounts
from services.auth.personal_tokens import PersonalTokens
from services.common.errors import Transient
from services.contracts.identifiers import owner_token

log = structlog.get_logger()


class Removals:
    """Compares who has tokens with the accounts: when somebody has left them, and every `pause_seconds`."""

    def __init__(
        self, accounts: Accounts, tokens: PersonalTokens, *, pause_seconds: float, retry_seconds: float
    ) -> None:
        """`retry_seconds` after accounts that could not be read, or were read a moment too early."""
        self._accounts = accounts
        self._tokens = tokens
        self._pause_seconds = pause_seconds
        self._retry_seconds = retry_seconds

    async def follow(self, stop: asyncio.Event) -> None:
        """Do so until `stop`; what a crash or an outage leaves undone is done the next time."""
        while not stop.is_set():
            self._accounts.somebody_left.clear()
            try:
                compared = await self.apply()
            except Transient as error:
                compared = False
                log.info("removals_deferred", error=str(error))
            await self._wait(stop, self._pause_seconds if compared else self._retry_seconds)

    async def apply(self) -> bool:
        """Revoke the tokens of those who are gone; False where the accounts could not be read.

        The accounts must have been read after the owners were: another auth process may just have given a
        token to a user whom the accounts in this one's memory do not know yet.
        """
        owners = await self._tokens.owners()
        listed_at = time.monotonic()
        if not owners:
            return True
        users = await self._accounts.read_since(listed_at)
        if users is None:
            return False
        gone = owners - {owner_token(user) for user in users}
        revoked = sum([await self._tokens.revoke_all(owner) for owner in gone])
        if revoked:
            log.warning("tokens_of_removed_users_revoked", users=len(gone), tokens=revoked)
        return True

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        waiting = [asyncio.ensure_future(one.wait()) for one in (stop, self._accounts.somebody_left)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
