"""`python -m services.provision`: declare streams and consumers once, then exit."""

import asyncio
import sys

import structlog

from services.common.bus import connect
from services.common.errors import ServiceError
from services.common.logs import configure
from services.common.service import load_or_exit
from services.contracts.topology import MINIMUM_SERVER
from services.provision.declare import declare
from services.provision.settings import Settings


async def provision(settings: Settings) -> None:
    """Connect, declare, and leave."""
    async with connect(settings, "provision", MINIMUM_SERVER) as bus:
        await declare(bus.jetstream, settings)


def main() -> None:
    """Exit 0 when everything stands as wanted, 2 when it cannot."""
    settings = load_or_exit(Settings)
    configure("provision", settings.log_level)
    try:
        asyncio.run(provision(settings))
    except ServiceError as error:
        structlog.get_logger().error("provisioning_failed", error=str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
