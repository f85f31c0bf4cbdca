"""`python -m tests.chaos.endpoint PORT SECONDS CAPACITY`: the stand-in endpoint as a process to be killed."""

import asyncio
import sys

from services.dev.stand_in_endpoint import StandIn, stand_in


async def serve(port: int, seconds: float, capacity: int) -> None:
    """Answer until the process ends."""
    async with stand_in(StandIn(seconds=seconds, capacity=capacity), port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
