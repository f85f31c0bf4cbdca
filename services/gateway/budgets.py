"""How full the disk budgets are: shown to the operator, and asked before an upload is let in."""

import asyncio
import time

import structlog
from prometheus_client import Gauge

from services.common.bus import Bus, woken_within
from services.common.errors import ServiceError
from services.contracts.topology import Stream
from services.gateway.errors import Unavailable

log = structlog.get_logger()

NEEDED = {
    Stream.UP: "recordings",
    Stream.CTL: "waiting jobs",
    Stream.RES: "transcripts",
    Stream.JOB: "records of jobs",
    Stream.HOOKS: "webhooks",
}
"""What a new job takes room of; chunks need not be there, as whoever sends them waits."""
WATCHED = (*NEEDED, Stream.CHUNK, Stream.TOKENS, Stream.HOTWORDS)
BELIEVED_SECONDS = 5.0
LOOK_SECONDS = 15.0
RETRY_SECONDS = 60.0

BYTES = Gauge("whisper_stream_bytes", "Bytes that a stream holds, as last seen", ["stream"])
LIMIT = Gauge("whisper_stream_limit_bytes", "Disk budget of a stream, as last seen", ["stream"])


class Budgets:
    """The fill levels, as of a few seconds ago."""

    def __init__(self, bus: Bus, refuse_share: float) -> None:
        """Beyond `refuse_share` (0 to 1) the rest is kept for what has begun."""
        self._bus = bus
        self._refuse_share = refuse_share
        self._shares: dict[Stream, float] = {}
        self._seen_at = float("-inf")

    async def check(self) -> None:
        """Raise `Unavailable` where a new job might not find room up to its end."""
        if time.monotonic() - self._seen_at > BELIEVED_SECONDS:
            await self.look()
        for stream, what in NEEDED.items():
            if self._shares[stream] >= self._refuse_share:
                raise Unavailable(
                    f"the disk budget for {what} is nearly used up; "
                    "delete earlier recordings, or try again later",
                    code="storage_full",
                    retry_after=RETRY_SECONDS,
                )

    async def look(self) -> None:
        """Ask the broker."""
        found = await asyncio.gather(*(self._bus.usage(stream) for stream in WATCHED))
        for stream, (used, limit) in zip(WATCHED, found, strict=True):
            BYTES.labels(stream).set(used)
            LIMIT.labels(stream).set(limit)
            self._shares[stream] = used / limit if limit else 0.0
        self._seen_at = time.monotonic()

    async def watch(self, stop: asyncio.Event) -> None:
        """Keep the metrics true until the stop."""
        while not stop.is_set():
            try:
                await self.look()
            except ServiceError as error:
                log.info("budgets_unknown", error=str(error))
            await woken_within(stop, LOOK_SECONDS)
