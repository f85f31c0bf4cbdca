"""`python -m tests.chaos.endpoint PORT SECONDS CAPACITY CHARACTERS`: the stand-in endpoint as a process."""

import asyncio
import sys

from services.dev.stand_in_endpoint import StandIn, stand_in


async def serve(port: int, seconds: float, capacity: int, characters: int) -> None:
    """Answer until the process ends."""
    async with stand_in(StandIn(seconds=seconds, capacity=capacity, characters=characters), port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
