"""Who is transcribed when: one request at a time in the order of arrival, with a bounded queue."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge, Histogram

from endpoint.audio import Samples
from endpoint.errors import Busy, Loading, TooSlow
from endpoint.requests import Chunk
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult

log = structlog.get_logger()

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
QUEUE_SECONDS = Histogram(
    "whisper_endpoint_queue_wait_seconds", "Time a request waited for its turn.", buckets=SECONDS
)
INFERENCE_SECONDS = Histogram(
    "whisper_endpoint_inference_seconds", "Time the model took for a request.", buckets=SECONDS
)
AUDIO_SECONDS = Counter("whisper_endpoint_audio_seconds_total", "Length of the audio transcribed.")
HOTWORD_ROWS = Counter("whisper_endpoint_hotword_rows_total", "Requests decoded with hotwords.", ["method"])
WAITING = Gauge("whisper_endpoint_waiting_requests", "Requests waiting for their turn.")
IN_PROGRESS = Gauge("whisper_endpoint_in_progress_requests", "Requests the model is working on.")


class Transcribes(Protocol):
    """A loaded model; it is called from one thread only."""

    name: str
    bundled: bool

    def check(self, options: InferenceOptions) -> None:
        """Raise `BadInput` for options the model cannot follow."""

    def transcribe(
        self, audio: Samples, options: InferenceOptions, abandoned: Callable[[], bool]
    ) -> InferenceResult:
        """The transcript; may give up once `abandoned()` is true."""


class Scheduler:
    """Owns the inference thread and the model in it."""

    def __init__(self, *, max_queue: int, timeout_seconds: float, queue_seconds: float) -> None:
        self.engine: Transcribes | None = None
        self._max_queue = max_queue
        self._timeout_seconds = timeout_seconds
        self._queue_seconds = queue_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._turn = asyncio.Lock()
        self._admitted = 0

    async def load(self, loaded: Callable[[], Transcribes]) -> None:
        """Run the loader in the inference thread; from then on requests are taken."""
        context = contextvars.copy_context()  # the loader's log lines carry the service's name
        engine = await asyncio.get_running_loop().run_in_executor(self._thread, context.run, loaded)
        self.engine = engine
        log.info("model_ready", model=engine.name, bundled=engine.bundled)

    async def transcribe(self, chunk: Chunk) -> InferenceResult:
        """Wait for a turn and for the transcript. Raises `Loading`, `Busy`, `TooSlow`, `BadInput`.

        A caller that is cancelled leaves the queue at once; a running inference stops within a token or two.
        """
        if self.engine is None:
            raise Loading("the model is being loaded: ask GET /ping until it answers 200")
        self.engine.check(chunk.options)
        if self._admitted > self._max_queue:
            raise Busy(f"{self._max_queue} requests are waiting already: try again")
        self._admitted += 1
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._in_turn(self.engine, chunk)
        except TimeoutError as error:
            raise TooSlow(
                f"no transcript within {self._timeout_seconds:g} s: the model is too busy"
            ) from error
        finally:
            self._admitted -= 1

    async def _in_turn(self, engine: Transcribes, chunk: Chunk) -> InferenceResult:
        arrived = time.monotonic()
        with WAITING.track_inprogress():
            await self._wait_for_turn()
        try:
            QUEUE_SECONDS.observe(time.monotonic() - arrived)
            with IN_PROGRESS.track_inprogress(), INFERENCE_SECONDS.time():
                result = await self._inferred(engine, chunk)
        finally:
            self._turn.release()
        AUDIO_SECONDS.inc(len(chunk.audio) / SAMPLE_RATE)
        if chunk.options.hotwords is not None:
            HOTWORD_ROWS.labels(chunk.options.hotwords.method).inc()
        return result

    async def _wait_for_turn(self) -> None:
        """A request that would be given up in the middle of its inference is sent away before it."""
        try:
            async with asyncio.timeout(self._queue_seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy(f"no turn within {self._queue_seconds:g} s: try again") from error

    async def _inferred(self, engine: Transcribes, chunk: Chunk) -> InferenceResult:
        abandoned = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, engine.transcribe, chunk.audio, chunk.options, abandoned.is_set
            )
        finally:
            abandoned.set()

    def close(self) -> None:
        """Take no more work; a thread that still runs ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
