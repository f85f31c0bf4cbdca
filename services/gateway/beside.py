"""Run a watcher beside a piece of work, so that either's failure ends both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine


@contextlib.asynccontextmanager
async def beside(watching: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run `watching` while the body runs; the first failure of the two cancels the other and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watching)
            yield
            watcher.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
