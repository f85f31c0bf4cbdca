"""The gateway's two connections to NATS: uploads have their own, so that they delay nothing else."""

from collections.abc import AsyncIterator

from aiohttp import web

from services.common.bus import Bus, connect
from services.common.declared import until_declared
from services.common.settings import ServiceSettings
from services.contracts.topology import CONSUMERS, MINIMUM_SERVER, Stream

BUS = web.AppKey("bus", Bus)
UPLOAD_BUS = web.AppKey("upload_bus", Bus)
BUS_SETTINGS = web.AppKey("bus_settings", ServiceSettings)


async def buses(app: web.Application) -> AsyncIterator[None]:
    """Both connections, for as long as the application runs."""
    settings = app[BUS_SETTINGS]
    async with (
        connect(settings, "gateway", MINIMUM_SERVER) as bus,
        connect(settings, "gateway", MINIMUM_SERVER) as uploads,
    ):
        await until_declared(bus, tuple(Stream), [consumer.queue for consumer in CONSUMERS])
        app[BUS], app[UPLOAD_BUS] = bus, uploads
        yield
