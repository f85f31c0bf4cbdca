"""The inference thread's work: requests join the running batch and leave it between two of its steps."""

import queue
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

import msgspec

from endpoint.audio import Samples
from endpoint.capacity import Capacity
from endpoint.events import Event, Failed, Finished, Progressed
from services.contracts.inference import InferenceOptions


class Engine(Protocol):
    """A loaded model with a batch; used from the inference thread only, except `check`."""

    name: str
    bundled: bool
    device: str
    """`cpu` or `cuda`."""
    room: int
    """Requests it can bear at once, as far as its memory has shown; 1 at least."""

    def check(self, options: InferenceOptions) -> None:
        """Raise `BadInput` for options the model cannot follow; prepare what is costly. For any thread."""

    def add(self, key: int, audio: Samples, options: InferenceOptions) -> None:
        """A request joins at the next step."""

    def drop(self, key: int) -> None:
        """Nobody waits for this request any more; unknown keys are ignored."""

    def step(self) -> list[Event]:
        """Encode what is new, then write one token for every request."""


class Enter(msgspec.Struct, frozen=True):
    """A request asks for a place."""

    key: int
    audio: Samples
    options: InferenceOptions


class Leave(msgspec.Struct, frozen=True):
    """Nobody waits for this request any more."""

    key: int


class Close(msgspec.Struct, frozen=True):
    """The thread is to end."""


class Joined(msgspec.Struct, frozen=True):
    """A request has its place in the batch."""

    key: int


Order = Enter | Leave | Close
News = Joined | Event


class InferenceLoop:
    """Requests wait here for a place, first come, first served; orders come in from any thread."""

    def __init__(
        self, engine: Engine, capacity: Capacity, *, wait_seconds: float, tell: Callable[[list[News]], None]
    ) -> None:
        self._engine = engine
        self._capacity = capacity
        self._wait_seconds = wait_seconds
        self._tell = tell
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._waiting: dict[int, Enter] = {}
        self._joined: dict[int, float] = {}

    @property
    def places(self) -> int:
        """Requests that may be in the batch now."""
        return max(1, min(self._capacity.rows, self._engine.room))

    def order(self, order: Order) -> None:
        """For any thread; never blocks."""
        self._orders.put(order)

    def run(self) -> None:
        """Work until closed. Whatever the engine raises in a step ends it: the engine is broken then."""
        for order in self._arriving():
            match order:
                case Enter():
                    self._waiting[order.key] = order
                case Leave():
                    self._leave(order.key)
                case Close():
                    return
                case None:
                    self._join()
                    self._step()

    def _arriving(self) -> Iterator[Order | None]:
        """Every order in turn, and None each time that there is none and work can go on."""
        while True:
            if not (self._waiting or self._joined):
                yield self._orders.get()
                yield from self._gathered()
            try:
                yield self._orders.get_nowait()
            except queue.Empty:
                yield None

    def _gathered(self) -> Iterator[Order]:
        """What comes in the moment after an idle engine's first request: they are encoded together."""
        until = time.monotonic() + self._wait_seconds
        while len(self._waiting) < self.places and (left := until - time.monotonic()) > 0:
            try:
                yield self._orders.get(timeout=left)
            except queue.Empty:
                return

    def _leave(self, key: int) -> None:
        self._waiting.pop(key, None)
        joined = self._joined.pop(key, None)
        if joined is not None:
            self._engine.drop(key)
            self._capacity.left(joined, time.monotonic())

    def _join(self) -> None:
        places = max(0, self.places - len(self._joined))
        for enter in list(islice(self._waiting.values(), places)):
            del self._waiting[enter.key]
            self._tell([self._admitted(enter)])

    def _admitted(self, enter: Enter) -> News:
        try:
            self._engine.add(enter.key, enter.audio, enter.options)
        except Exception as error:  # it concerns this request alone
            return Failed(enter.key, error)
        self._joined[enter.key] = time.monotonic()
        return Joined(enter.key)

    def _step(self) -> None:
        if not self._joined:
            return
        full = len(self._joined) >= self._capacity.rows
        events = self._engine.step()
        for event in events:
            self._settle(event, full=full)
        if events:
            self._tell(list(events))

    def _settle(self, event: Event, *, full: bool) -> None:
        if isinstance(event, Progressed):
            return
        joined = self._joined.pop(event.key, None)
        if joined is None:
            return
        if isinstance(event, Finished):
            self._capacity.served(joined, time.monotonic(), full=full)
        else:
            self._capacity.left(joined, time.monotonic())
