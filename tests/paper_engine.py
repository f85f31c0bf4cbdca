"""An engine without a model: a request takes a step for each second of its audio, begun ones included."""

import math
import threading
import time

from endpoint.audio import Samples
from endpoint.errors import BadInput, OutOfMemory
from endpoint.events import Event, Failed, Finished, Progressed
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult, Segment

HELD_SECONDS = 0.002
"""What a step takes that writes nothing."""


class Row:
    """A request in the batch."""

    def __init__(self, audio: Samples, fault: str | None) -> None:
        self.seconds = len(audio) / SAMPLE_RATE
        self.steps = max(1, math.ceil(self.seconds))
        self.fault = fault
        self.done = 0


class PaperEngine:
    """Works once it is let go, and notes whom it served and who left. Some languages are faults."""

    name = "paper"
    bundled = False
    device = "cpu"

    def __init__(
        self, *, room: int = 64, held: bool = False, step_seconds: float = 0.0, said: str = ""
    ) -> None:
        self.room = room
        self.said = said
        self.step_seconds = step_seconds
        self.go = threading.Event()
        if not held:
            self.go.set()
        self.rows: dict[int, Row] = {}
        self.most = 0
        self.joined: list[float] = []
        self.served: list[float] = []
        self.left: list[float] = []

    def check(self, options: InferenceOptions) -> None:
        if options.language == "elvish":
            raise BadInput("nobody speaks elvish", "language")

    def add(self, key: int, audio: Samples, options: InferenceOptions) -> None:
        if options.language == "unheard":
            raise ValueError("this cannot begin")
        self.rows[key] = Row(audio, options.language)
        self.joined.append(self.rows[key].seconds)
        self.most = max(self.most, len(self.rows))

    def drop(self, key: int) -> None:
        if row := self.rows.pop(key, None):
            self.left.append(row.seconds)

    def step(self) -> list[Event]:
        if not self.go.wait(HELD_SECONDS):
            return []
        time.sleep(self.step_seconds)
        return [self._written(key) for key in list(self.rows)]

    def _written(self, key: int) -> Event:
        row = self.rows[key]
        if row.fault == "fatal":
            raise RuntimeError("the whole batch is lost")
        if row.fault == "broken":
            return self._failed(key, RuntimeError("this row is lost"))
        if row.fault == "huge":
            return self._failed(key, OutOfMemory("the request does not fit into memory: send less audio"))
        row.done += 1
        if row.done < row.steps:
            return Progressed(key, f"{row.done} of {row.steps}{self.said}")
        del self.rows[key]
        self.served.append(row.seconds)
        return Finished(key, told(row.seconds))

    def _failed(self, key: int, error: Exception) -> Event:
        del self.rows[key]
        return Failed(key, error)


def told(seconds: float) -> InferenceResult:
    """The transcript of audio of that length."""
    segment = Segment(start=0.0, end=seconds, text=f"{seconds:g}")
    return InferenceResult(text=f"{seconds:g}", language="en", segments=(segment,))
