"""Whose chunk is sent next: short recordings first, bulk work last, and nobody passed over for ever."""

import asyncio
from collections import deque
from collections.abc import Mapping

from services.contracts.messages import Lane

ORDER = (Lane.SHORT, Lane.LONG, Lane.LOW)
"""Who comes first."""
PASSED_OVER = {Lane.LONG: 3, Lane.LOW: 15}
"""How often a lane that has a chunk may be passed over: of a busy endpoint long recordings get a quarter at
least, and work of low priority a sixteenth."""


def next_lane(waiting: Mapping[Lane, int]) -> Lane:
    """The lane whose chunk goes next, by how often each lane that has one was passed over."""
    overdue = [lane for lane, most in PASSED_OVER.items() if waiting.get(lane, 0) >= most]
    return overdue[-1] if overdue else min(waiting, key=ORDER.index)


class LanePlaces:
    """The places as one lane sees them."""

    def __init__(self, turns: "Turns", lane: Lane) -> None:
        self._turns = turns
        self._lane = lane

    async def take(self) -> None:
        """Wait for a place."""
        await self._turns.take(self._lane)

    def give_back(self) -> None:
        """A chunk is done."""
        self._turns.give_back()


class Turns:
    """The places at the endpoint that this process has, given out by lane."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {}
        self._passed: dict[Lane, int] = {}

    def of(self, lane: Lane) -> LanePlaces:
        """What a lane's consumer takes places from."""
        return LanePlaces(self, lane)

    async def take(self, lane: Lane) -> None:
        """Wait for a place."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lane, deque()).append(turn)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its place came at the same moment
                self.give_back()
            elif turn in self._waiting.get(lane, ()):
                self._leave(lane, turn)
            raise

    def give_back(self) -> None:
        """A chunk is done."""
        self._free += 1
        self._give()

    def _give(self) -> None:
        while self._free and self._waiting:
            lane = next_lane({lane: self._passed.get(lane, 0) for lane in self._waiting})
            turn = self._waiting[lane][0]
            self._leave(lane, turn)
            if turn.cancelled():
                continue
            self._passed = {other: self._passed.get(other, 0) + 1 for other in self._waiting if other != lane}
            self._free -= 1
            turn.set_result(None)

    def _leave(self, lane: Lane, turn: asyncio.Future[None]) -> None:
        self._waiting[lane].remove(turn)
        if not self._waiting[lane]:
            del self._waiting[lane]
