"""`python -m bench.load.bare_process PORT NATS_URL`: aiohttp alone, sending events to many readers.

Whatever is published to `bare.JOB` goes as it is to everybody who reads `/bare/JOB`.
"""

import asyncio
import os
import sys
from collections import defaultdict

from aiohttp import web
from nats.aio.msg import Msg

from services.common.bus import connect
from services.common.service import site
from services.common.settings import ServiceSettings
from services.contracts.topology import MINIMUM_SERVER

FIRST = b"event: job\ndata: {}\n\n"


class Readers:
    """Who reads what."""

    def __init__(self) -> None:
        self._reading: defaultdict[str, set[web.StreamResponse]] = defaultdict(set)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Stay for ever."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(FIRST)
        self._reading[request.match_info["job"]].add(response)
        await asyncio.Event().wait()
        return response

    async def tell(self, message: Msg) -> None:
        """Send to all."""
        reading = self._reading[message.subject.rpartition(".")[2]]
        for response in tuple(reading):
            try:
                await response.write(message.data)
            except ConnectionResetError:
                reading.discard(response)


async def serve(port: int, nats_url: str) -> None:
    """Until the process ends."""
    readers = Readers()
    app = web.Application()
    app.add_routes([web.get("/bare/{job}", readers.read)])
    settings = ServiceSettings(nats_url=nats_url, nats_nkey_seed=os.environ["NATS_NKEY_SEED"])
    async with connect(settings, "operator", MINIMUM_SERVER) as bus, site(app, "127.0.0.1", port):
        await bus.client.subscribe("bare.*", cb=readers.tell)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
