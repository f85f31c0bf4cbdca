"""A nats-server that knows our roles and grants each its rights only, with every stream declared."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import msgspec
import nats
from nats.aio.client import Client

from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.contracts.rights import Role
from services.contracts.topology import MINIMUM_SERVER
from services.dev.nats_server import nats_server
from services.provision.authorization import authorization, new_seed, public_key
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings

LAST = "nobody.may.say.this"


class Guarded(msgspec.Struct, frozen=True):
    """The server's address and everybody's key."""

    url: str
    seeds: Mapping[Role, str]

    def settings(self, role: Role) -> ServiceSettings:
        return ServiceSettings(nats_url=self.url, nats_nkey_seed=self.seeds[role])

    @contextlib.asynccontextmanager
    async def bus(self, role: Role) -> AsyncIterator[Bus]:
        async with connect(self.settings(role), role, MINIMUM_SERVER, patience_seconds=5) as bus:
            yield bus

    @contextlib.asynccontextmanager
    async def client(self, role: Role) -> AsyncIterator["Intruder"]:
        """A plain connection of somebody who stole this role's key."""
        complaints: asyncio.Queue[str] = asyncio.Queue()

        async def complained(error: Exception) -> None:
            complaints.put_nowait(str(error).lower())

        client = await nats.connect(
            self.url, nkeys_seed_str=self.seeds[role], error_cb=complained, allow_reconnect=False
        )
        try:
            yield Intruder(client, complaints)
        finally:
            await client.close()


class Intruder:
    """Tries things, and tells which of them the server let it do."""

    def __init__(self, client: Client, complaints: asyncio.Queue[str]) -> None:
        self._client = client
        self._complaints = complaints

    async def published(self, subjects: Iterable[str]) -> list[str]:
        tried = list(subjects)
        for subject in tried:
            await self._client.publish(subject, b"{}")
        refused = await self._refused("publish to")
        return [subject for subject in tried if subject.lower() not in refused]

    async def heard(self, subjects: Iterable[str]) -> list[str]:
        tried = list(subjects)
        for subject in tried:
            await self._client.subscribe(subject)
        refused = await self._refused("subscription to")
        return [subject for subject in tried if subject.lower() not in refused]

    async def _refused(self, verb: str) -> set[str]:
        """The subjects that the server complains of, up to one that it must complain of."""
        await self._client.publish(LAST, b"")
        refused: set[str] = set()
        async with asyncio.timeout(20):
            while LAST not in (said := await self._complaints.get()):
                if found := re.search(f'permissions violation for {verb} "([^"]+)"', said):
                    refused.add(found[1])
        return refused


@contextlib.asynccontextmanager
async def guarded_server(store: Path) -> AsyncIterator[Guarded]:
    """The server, provisioned by the role that does so."""
    seeds = {role: new_seed() for role in Role}
    users = authorization([(role, public_key(seed)) for role, seed in seeds.items()])
    async with nats_server(store, authorization=msgspec.json.encode(users)) as server:
        guarded = Guarded(server.url, seeds)
        async with guarded.bus(Role.PROVISION) as bus:
            await declare(bus.jetstream, ProvisionSettings(nats_url=server.url))
        yield guarded
