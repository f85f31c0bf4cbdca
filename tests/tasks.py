"""Finds asyncio tasks that outlive the one who began them."""

import asyncio
import contextlib
import weakref
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

END_SECONDS = 12.0
"""aiohttp waits for the rest of a body that it refused, also after its client has left."""

_BEGINNER: ContextVar["Tasks | None"] = ContextVar("beginner", default=None)


class Tasks:
    """Tasks that were begun within `begun_here`, or by one of them, or by a server opened there."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    @contextlib.contextmanager
    def begun_here(self) -> Iterator[None]:
        """Whatever starts in this context is ours; callbacks and tasks inherit that."""
        asyncio.get_running_loop().set_task_factory(_task)  # type: ignore[arg-type]  # typeshed names the arguments
        token = _BEGINNER.set(self)
        try:
            yield
        finally:
            _BEGINNER.reset(token)

    def left(self) -> list[asyncio.Task[Any]]:
        """Those that have not ended."""
        return [task for task in self._all if not task.done()]

    def add(self, task: asyncio.Task[Any]) -> None:
        """Remember one."""
        self._all.add(task)

    async def must_end(self, seconds: float = END_SECONDS) -> None:
        """Fail unless all of them end by themselves in this time."""
        if left := self.left():
            await asyncio.wait(left, timeout=seconds)
        assert not self.left(), f"tasks were left behind: {self.left()}"


def _task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **options)
    beginner = _BEGINNER.get()
    if beginner is not None:
        beginner.add(task)
    return task
