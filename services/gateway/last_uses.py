"""When personal access tokens were used last: remembered here, and told to auth now and then."""

import asyncio
import time

import structlog

from services.common.bus import woken_within
from services.common.errors import ServiceError
from services.contracts.claims import TokenUse
from services.contracts.personal_tokens import PersonalToken
from services.gateway.authority import Authority

log = structlog.get_logger()

REPORT_SECONDS = 60.0
MOST_UNTOLD = 5_000
"""Tokens whose use is remembered; the use of further ones is told when they are used again."""
MOST_TOLD = 500
"""In one message: less than auth takes, and than NATS carries."""
FAREWELL_SECONDS = 3.0


class LastUses:
    """The uses since the last report. Those of a process that is killed are lost, and nothing else."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._untold: dict[str, TokenUse] = {}

    def note(self, token: PersonalToken) -> None:
        """The token was used just now."""
        if token.id in self._untold or len(self._untold) < MOST_UNTOLD:
            self._untold[token.id] = TokenUse(owner=token.owner, id=token.id, at=time.time())

    async def follow(self, stop: asyncio.Event) -> None:
        """Report every minute until `stop`, and once more then."""
        while not stop.is_set():
            await woken_within(stop, REPORT_SECONDS)
            try:
                async with asyncio.timeout(FAREWELL_SECONDS if stop.is_set() else None):
                    await self.report()
            except (ServiceError, TimeoutError) as error:
                log.info("token_uses_not_told", error=str(error) or "no time left", kept=len(self._untold))

    async def report(self) -> None:
        """Tell auth; what it did not take is told again the next time."""
        while self._untold:
            told = dict(list(self._untold.items())[:MOST_TOLD])
            await self._authority.note_uses(tuple(told.values()))
            for token, use in told.items():
                if self._untold[token] is use:
                    del self._untold[token]
