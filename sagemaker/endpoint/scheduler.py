"""Who is heard when: a bounded queue in front of a batch that requests join and leave at any time."""

import asyncio
import contextlib
import contextvars
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from enum import StrEnum

import structlog
from prometheus_client import Gauge

from endpoint.capacity import Capacity
from endpoint.errors import Busy, Loading, ModelFailed, Refused, Stopping
from endpoint.events import Failed
from endpoint.hearing import Hearing
from endpoint.inference_loop import Close, Engine, Enter, InferenceLoop, Leave, News
from endpoint.invocation import Chunk
from endpoint.settings import EndpointSettings

log = structlog.get_logger()

WAITING = Gauge("whisper_endpoint_waiting_requests", "Requests waiting for their place in the batch.")
IN_PROGRESS = Gauge("whisper_endpoint_in_progress_requests", "Requests in the batch.")

THREAD_END_SECONDS = 1.0
"""A step of a big model on a slow machine takes longer; the process does not wait for it."""


class Status(StrEnum):
    """What GET /ping tells."""

    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"


class Scheduler:
    """The event loop's side; owns the inference thread and the model in it."""

    def __init__(self, settings: EndpointSettings) -> None:
        self.status = Status.LOADING
        self.engine: Engine
        """There once the status is READY."""
        self.broken = asyncio.Event()
        """The engine died of a fault of its own: the process has to end."""
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._keys = itertools.count()
        self._hearings: dict[int, Hearing] = {}
        self._checking = asyncio.Lock()
        """Hotwords are compiled one list at a time: each thread that computes delays GET /ping."""
        self._admitted = 0
        self._left = asyncio.Event()
        self._end: Refused | None = None

    async def load(self, loaded: Callable[[], Engine]) -> None:
        """Run the loader in the inference thread; then requests are taken. Raises what the loader does."""
        ready: asyncio.Future[InferenceLoop] = self._loop.create_future()
        context = contextvars.copy_context()  # the thread's log lines carry the service's name
        self._thread = threading.Thread(
            target=context.run, args=(self._infer, loaded, ready), name="inference", daemon=True
        )
        self._thread.start()
        self._inference = await ready
        self.status = Status.READY

    def _infer(self, loaded: Callable[[], Engine], ready: asyncio.Future[InferenceLoop]) -> None:
        """The thread's whole life."""
        try:
            inference = self._ready(loaded())
        except Exception as error:
            self._loop.call_soon_threadsafe(ready.set_exception, error)
            return
        self._loop.call_soon_threadsafe(ready.set_result, inference)
        try:
            inference.run()
        except Exception as error:
            log.critical("engine_broken", exc_info=error)
            self._loop.call_soon_threadsafe(self._broke, error)

    def _ready(self, engine: Engine) -> InferenceLoop:
        self.engine = engine
        rows = self._settings.rows(engine.device)
        log.info("model_ready", model=engine.name, bundled=engine.bundled, device=engine.device, rows=rows)
        return InferenceLoop(
            engine,
            Capacity(rows, self._settings.request_timeout_seconds),
            wait_seconds=self._settings.batch_wait_ms / 1000,
            tell=self._tell,
        )

    def _tell(self, news: list[News]) -> None:
        """For the inference thread."""
        self._loop.call_soon_threadsafe(self._told, news)

    def _told(self, news: list[News]) -> None:
        for item in news:
            if hearing := self._hearings.get(item.key):
                hearing.tell(item)

    def _broke(self, error: Exception) -> None:
        self.status = Status.STOPPING
        self._give_up(ModelFailed(f"the model failed: {type(error).__name__}; the container starts anew"))
        self.broken.set()

    def _give_up(self, end: Refused) -> None:
        """Answer everybody who waits, and who comes from now on."""
        self._end = end
        for key, hearing in self._hearings.items():
            hearing.tell(Failed(key, end))

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """A place among those that are read, wait or are heard. Raises `Loading`, `Stopping`, `Busy`."""
        if self.status is Status.LOADING:
            raise Loading("the model is being loaded: ask GET /ping until it answers 200")
        if self.status is Status.STOPPING:
            raise Stopping("the container is stopping: try again, another one answers")
        if self._admitted >= self._settings.max_queue + self._inference.places:
            raise Busy(f"{self._settings.max_queue} requests are waiting already: try again")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1
            self._left.set()

    @contextlib.asynccontextmanager
    async def hearing(self, chunk: Chunk) -> AsyncIterator[Hearing]:
        """A request that the batch has taken; it is dropped at the context's end if it is not done by then.

        For an admitted caller. Raises `BadInput`, and `Busy` where no place becomes free in time.
        """
        async with self._checking if chunk.options.hotwords else contextlib.nullcontext():
            await asyncio.to_thread(self.engine.check, chunk.options)
        if self._end:
            raise self._end
        key, hearing = next(self._keys), Hearing(chunk)
        self._hearings[key] = hearing
        self._inference.order(Enter(key, chunk.audio, chunk.options))
        try:
            await self._placed(hearing)
            with IN_PROGRESS.track_inprogress():
                yield hearing
        finally:
            del self._hearings[key]
            self._inference.order(Leave(key))

    async def _placed(self, hearing: Hearing) -> None:
        limit = self._settings.queue_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                with WAITING.track_inprogress():
                    await hearing.place()
        except TimeoutError as error:
            raise Busy(f"no place within {limit:g} s: try again") from error

    async def drain(self) -> None:
        """Take nobody new, let all that are admitted finish; those left after `drain_seconds` get a 503."""
        self.status = Status.STOPPING
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                while self._admitted:
                    await self._left.wait()
                    self._left.clear()
        self._give_up(Stopping("the container stopped before the transcript was there: try again"))

    async def close(self) -> bool:
        """End the inference thread; False if a step of the model still runs after a while."""
        self._inference.order(Close())
        await asyncio.to_thread(self._thread.join, THREAD_END_SECONDS)
        return not self._thread.is_alive()
