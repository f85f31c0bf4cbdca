"""Read an upload from its stream, part by part, while it still arrives."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import structlog

from services.chunker.problems import ERASED, BadRecording
from services.common.bus import Bus, Stored, woken_within
from services.common.errors import StorageFull
from services.contracts import topology
from services.contracts.messages import HEADER, EndOfUpload, Problem
from services.contracts.topology import Stream

log = structlog.get_logger()

RECHECK_SECONDS = 2.0
"""How long a lost wake-up can go unnoticed."""

ABANDONED = Problem(
    code="upload_interrupted",
    message="The upload broke off before the recording was complete. The text covers what arrived; "
    "send the recording again for the rest.",
)


class Upload:
    """The parts of one upload in order; `ended` is set once the last one was read."""

    def __init__(self, bus: Bus, run: str, *, silence_seconds: float, arrived: bool = False) -> None:
        """`silence_seconds` without a new part means that nobody is uploading any more.

        With `arrived` every part was there once: one that is missing was erased, and raises `BadRecording`.
        """
        self._bus = bus
        self._run = run
        self._silence_seconds = silence_seconds
        self._arrived = arrived
        self._received = 0
        self.ended: EndOfUpload | None = None
        self.began_at: float | None = None
        """When the first part was stored, by the broker's clock."""

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The recording's bytes; ends with the last part, whoever stored it."""
        async with self._bus.woken_by(topology.live_parts(self._run)) as woken:
            number = 0
            while self.ended is None:
                stored = await self._wait_for(number, woken)
                if stored is None:
                    return
                if not number:
                    self.began_at = stored.stored_at
                self._received += len(stored.data)
                if HEADER in stored.headers:
                    self.ended = msgspec.json.decode(stored.headers[HEADER], type=EndOfUpload)
                if stored.data:
                    yield stored.data
                number += 1

    async def _wait_for(self, number: int, woken: asyncio.Event) -> Stored | None:
        """Part `number`, None where the upload ended without it.

        A part is due every 10 s: when none comes, the uploading process is gone.
        """
        loop = asyncio.get_running_loop()
        quiet_until = loop.time() + self._silence_seconds
        while True:
            woken.clear()
            asked = loop.time()
            stored = await self._bus.last(
                Stream.UP, topology.part(self._run, number), by_leader=self._arrived
            )
            if stored is not None:
                return stored
            if self._arrived:
                raise BadRecording(ERASED)
            quiet_until += loop.time() - asked  # a broker that is away stops the uploader too
            if loop.time() >= quiet_until:
                await self._declare_abandoned(number)
                if self.ended is not None:
                    return None
                quiet_until = loop.time() + self._silence_seconds
            else:
                await woken_within(woken, RECHECK_SECONDS)

    async def _declare_abandoned(self, number: int) -> None:
        """End the upload in the uploader's place; if it lives after all, the first of both wins."""
        log.warning("upload_abandoned", run=self._run, parts=number)
        end = EndOfUpload(bytes=self._received, interrupted=ABANDONED)
        header = {HEADER: msgspec.json.encode(end).decode()}
        try:
            await self._bus.create(topology.part(self._run, number), b"", header)
        except StorageFull:  # without room for these few bytes nobody else's part comes either
            self.ended = end
