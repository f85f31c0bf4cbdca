"""SIGTERM to the processes of a running system, one after the other, and what clients may notice of it."""

import itertools

import aiohttp

from client.errors import Unavailable
from tests.chaos.cast import Cast, kind
from tests.chaos.matrix import Outcome

GRACE_SECONDS = 30.0
"""What Kubernetes gives by default."""


async def rolled(running: Cast, *kinds: str) -> dict[str, int]:
    """Replace every process of these kinds, the next when the one before takes work; exit codes."""
    by_kind = {found: list(names) for found, names in itertools.groupby(running.names(), key=kind)}
    codes = {}
    for name in itertools.chain.from_iterable(by_kind[wanted] for wanted in kinds):
        codes[name] = await running.replace(name, GRACE_SECONDS)
        await running.ready()
    return codes


def reconnects(outcome: Outcome) -> int:
    """How often readers had to come back."""
    return sum(reader.reconnects for _, reader in outcome.readers)


def only_reconnects(trouble: Unavailable) -> bool:
    """No connection, or a kept one that was closed before the server took the request."""
    return isinstance(trouble.__cause__, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
