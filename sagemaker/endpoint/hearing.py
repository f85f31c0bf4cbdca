"""One request as its handler sees it: the text so far, and how it ended."""

import asyncio
import time
from collections.abc import AsyncIterator

from prometheus_client import Counter, Histogram

from endpoint.events import Failed, Finished, Progressed
from endpoint.inference_loop import Joined, News
from endpoint.invocation import Chunk
from services.contracts.hotwords import HotwordMethod
from services.contracts.inference import SAMPLE_RATE, InferenceResult

SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
QUEUE_SECONDS = Histogram(
    "whisper_endpoint_queue_wait_seconds",
    "Time a request waited for its place in the batch.",
    buckets=SECONDS,
)
INFERENCE_SECONDS = Histogram(
    "whisper_endpoint_inference_seconds", "Time from a request's place to its transcript.", buckets=SECONDS
)
AUDIO_SECONDS = Counter("whisper_endpoint_audio_seconds_total", "Length of the audio transcribed.")
HOTWORD_ROWS = Counter("whisper_endpoint_hotword_rows_total", "Requests decoded with hotwords.", ["method"])
for method in HotwordMethod:
    HOTWORD_ROWS.labels(method)


class Hearing:
    """Told by the event loop what the inference thread says of this request."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._since = time.monotonic()
        self._joined = False
        self._text = ""
        self._outcome: InferenceResult | Exception | None = None
        self._news = asyncio.Event()

    def tell(self, news: News) -> None:
        """Take in what is new; after the outcome, nothing is."""
        if self._outcome is None:
            self._take(news)
            self._news.set()

    def _take(self, news: News) -> None:
        match news:
            case Joined():
                self._joined = True
                QUEUE_SECONDS.observe(self._lap())
            case Progressed():
                self._text = news.text
            case Finished():
                self._outcome = news.result
                self._count()
            case Failed():
                self._outcome = news.error

    async def place(self) -> None:
        """Wait until the batch takes the request; one that failed before counts as taken."""
        while not self._joined and self._outcome is None:
            await self._change()

    async def texts(self) -> AsyncIterator[str]:
        """Each text so far that is new; a slow reader gets the latest only, so that nothing piles up."""
        told = ""
        while self._outcome is None:
            await self._change()
            if self._outcome is None and self._text != told:
                told = self._text
                yield told

    async def result(self) -> InferenceResult:
        """Wait for the transcript. Raises what the request failed of."""
        while self._outcome is None:
            await self._change()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def _change(self) -> None:
        await self._news.wait()
        self._news.clear()

    def _lap(self) -> float:
        before, self._since = self._since, time.monotonic()
        return self._since - before

    def _count(self) -> None:
        INFERENCE_SECONDS.observe(self._lap())
        AUDIO_SECONDS.inc(len(self._chunk.audio) / SAMPLE_RATE)
        if self._chunk.options.hotwords is not None:
            HOTWORD_ROWS.labels(self._chunk.options.hotwords.method).inc()
