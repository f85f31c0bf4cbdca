"""A stand-in endpoint that can be made to keep its callers waiting."""

import asyncio

from aiohttp import web

from services.dev.stand_in_endpoint import StandIn


class Held(StandIn):
    """At work on everything until it is let go."""

    def __init__(self, *, seconds: float, capacity: int) -> None:
        super().__init__(seconds=seconds, capacity=capacity)
        self.free = asyncio.Event()
        self.held = 0

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        """Answer once it is free."""
        self.held += 1
        await self.free.wait()
        self.held -= 1
        return await super().invoke(request)
