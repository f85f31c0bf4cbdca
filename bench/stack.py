"""The local stack with a stand-in for its endpoint, for benchmarks."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from services.dev.local import Stack, StackOptions, local_stack
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in

WORK = Path(__file__).parent / "work"
PASSWORD = "bench"


@contextlib.asynccontextmanager
async def system(
    endpoint: StandIn, environ: Mapping[str, str], users: tuple[str, ...] = ()
) -> AsyncIterator[Stack]:
    """A running stack with these further users, whose password is `PASSWORD`, too."""
    async with contextlib.AsyncExitStack() as stack:
        WORK.mkdir(exist_ok=True)
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=WORK)))
        options = StackOptions(
            data=data,
            port=free_port(),
            password=PASSWORD,
            more_users=dict.fromkeys(users, PASSWORD),
            runtime_url=await stack.enter_async_context(stand_in(endpoint, free_port())),
            environ={"LOG_LEVEL": "warning", **environ},
        )
        yield await stack.enter_async_context(local_stack(options, lambda _sentence: None))
