"""The local stack in a thread with an event loop of its own, for tests of every kind."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from services.dev.local import Stack, StackOptions, local_stack
from services.dev.output import announce
from services.dev.processes import free_port

T = TypeVar("T")

START_SECONDS = 120.0
STOP_SECONDS = 60.0


class StackThread:
    """Started by `start`, ended by `stop`; `do` runs a coroutine of the stack's on its loop."""

    def __init__(self, data: Path, **options: Any) -> None:
        self.options = StackOptions(
            data=data,
            port=free_port(),
            username="admin",
            password="a good password",
            more_users={"other": "another password"},
            **options,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stack", daemon=True)
        self._stop = asyncio.Event()
        self._ready: concurrent.futures.Future[Stack] = concurrent.futures.Future()
        self._running: concurrent.futures.Future[None] | None = None

    def start(self) -> "StackThread":
        self._thread.start()
        self._running = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
        both: tuple[concurrent.futures.Future[Any], ...] = (self._ready, self._running)
        concurrent.futures.wait(both, START_SECONDS, concurrent.futures.FIRST_COMPLETED)
        if self._running.done():
            self._running.result()
        self._ready.result(timeout=0)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        try:
            if self._running is not None:
                self._running.result(timeout=STOP_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            self._loop.close()

    def do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=START_SECONDS)

    @property
    def stack(self) -> Stack:
        return self._ready.result(timeout=0)

    @property
    def url(self) -> str:
        return self.stack.url

    @property
    def username(self) -> str:
        return self.stack.username

    @property
    def password(self) -> str:
        return self.stack.password

    async def _run(self) -> None:
        async with local_stack(self.options, announce) as stack:
            self._ready.set_result(stack)
            await self._stop.wait()
