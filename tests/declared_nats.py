"""A nats-server that everybody may use, with every stream declared."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from services.common.bus import connect
from services.common.settings import ServiceSettings
from services.contracts.topology import MINIMUM_SERVER
from services.dev.nats_server import NatsServer, nats_server
from services.provision.declare import declare
from services.provision.settings import Settings


@contextlib.asynccontextmanager
async def declared_nats(store: Path) -> AsyncIterator[NatsServer]:
    """It ends with the context."""
    async with nats_server(store) as server:
        async with connect(ServiceSettings(nats_url=server.url), "provision", MINIMUM_SERVER) as bus:
            await declare(bus.jetstream, Settings(nats_url=server.url))
        yield server
