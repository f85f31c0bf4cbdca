"""An event loop in a thread of its own, for callers that have none or that hold up theirs."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from client.errors import ClientError

STOP_SECONDS = 10.0

T = TypeVar("T")


class LoopThread:
    """Runs from the moment it is made; may be used from any number of threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="whisper-client", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of `work`, which is over when this returns or raises, Ctrl-C included."""
        if self.closed or threading.current_thread() is self._thread:
            work.close()
            raise ClientError(
                "this client is closed"
                if self.closed
                else "an observer is called by the client and must not call it; use another thread"
            )
        over = threading.Event()

        async def observed() -> T:
            try:
                return await work
            finally:
                over.set()

        future = asyncio.run_coroutine_threadsafe(observed(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            over.wait(STOP_SECONDS)
            raise

    def stop(self) -> None:
        """End what still runs, and the thread."""
        if self.closed:
            return
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result(STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

    async def _end_all(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
