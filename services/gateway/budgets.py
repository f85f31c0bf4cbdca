"""How full the disk budgets are: shown to the operator, and asked before an upload is let in."""

import asyncio
import time

from prometheus_client import Gauge

from services.common.broker_state import StreamState
from services.common.bus import Bus
from services.contracts.topology import Stream
from services.gateway.errors import Unavailable

NEEDED = {
    Stream.UP: "recordings",
    Stream.CTL: "waiting jobs",
    Stream.RES: "transcripts",
    Stream.JOB: "records of jobs",
    Stream.HOOKS: "webhooks",
}
"""What a new job takes room of; chunks need not be there, as whoever sends them waits."""
BELIEVED_SECONDS = 5.0
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
        self._seen_at: dict[Stream, float] = {}

    async def check(self) -> None:
        """Raise `Unavailable` where a new job might not find room up to its end."""
        await asyncio.gather(*(self._look(stream) for stream in NEEDED if self._is_old(stream)))
        for stream, what in NEEDED.items():
            if self._shares[stream] >= self._refuse_share:
                raise Unavailable(
                    f"the disk budget for {what} is nearly used up; "
                    "delete earlier recordings, or try again later",
                    code="storage_full",
                    retry_after=RETRY_SECONDS,
                )

    def note(self, stream: Stream, state: StreamState) -> None:
        """Somebody has looked."""
        BYTES.labels(stream).set(state.bytes)
        LIMIT.labels(stream).set(state.limit_bytes)
        self._shares[stream] = state.bytes / state.limit_bytes if state.limit_bytes else 0.0
        self._seen_at[stream] = time.monotonic()

    def _is_old(self, stream: Stream) -> bool:
        return time.monotonic() - self._seen_at.get(stream, float("-inf")) > BELIEVED_SECONDS

    async def _look(self, stream: Stream) -> None:
        self.note(stream, await self._bus.state(stream))
