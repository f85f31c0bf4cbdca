"""Many transcriptions on one model: what they ask for is heard and written together, a token a step."""

import time
from collections import deque
from collections.abc import Callable

import structlog
import torch

from endpoint.audio import Samples
from endpoint.decoding import Batch, Decoded, Row
from endpoint.errors import BadInput, OutOfMemory
from endpoint.events import Event, Failed, Finished, Progressed
from endpoint.model import Heard, WhisperModel
from endpoint.steering import Compiler, Steering
from endpoint.transcript import closed_tokens
from endpoint.windows import Hear, Transcription, transcription
from services.contracts.inference import InferenceOptions, Task

log = structlog.get_logger()

ROOM = 64
"""Windows at once, until the device's memory says otherwise."""
RECOVERY_SECONDS = 60.0
"""After so long without running out of memory, twice as many are tried again."""
HEARD_TOGETHER = 8
"""Windows encoded in one step: the rows being written wait meanwhile."""


class Engine:
    """Not thread-safe but for `check`: one thread runs it."""

    def __init__(self, model: WhisperModel, name: str, *, bundled: bool) -> None:
        self.name = name
        self.bundled = bundled
        self.device = model.device.type
        self.room = ROOM
        self._full_at = 0.0
        self._model = model
        pieces = model.pieces()
        self._compiler = Compiler(model.tokenize, pieces, model.marks.prompt_tokens)
        self._batch = Batch(model.decoder, model.marks, pieces)
        self._transcriptions: dict[int, Transcription] = {}
        self._requests: dict[int, tuple[Samples, InferenceOptions]] = {}
        self._new: list[int] = []
        self._to_hear: deque[tuple[int, Hear]] = deque()
        self._to_write: deque[tuple[int, Row]] = deque()
        self._rows: dict[int, Row] = {}
        self._before: dict[int, str] = {}
        self._told: dict[int, int] = {}

    @property
    def rows(self) -> int:
        """Requests in it."""
        return len(self._requests)

    def check(self, options: InferenceOptions) -> None:
        """Raise `BadInput` for options that this model cannot follow, and compile hotwords; in any thread."""
        known = self._model.marks.languages or {"en": 0}
        given = {"language": (options.language,) if options.language else (), "languages": options.languages}
        for field, languages in given.items():
            if unknown := [code for code in languages if code not in known]:
                choices = ", ".join(known)
                raise BadInput(f"the model knows no language {unknown[0]!r}: use one of {choices}", field)
        if options.task is Task.TRANSLATE and not self._model.marks.languages:
            raise BadInput("this model is English only: it cannot translate", "task")
        if options.hotwords:
            self._compiler.steering(options.hotwords, options.language or "en")

    def add(self, key: int, audio: Samples, options: InferenceOptions) -> None:
        """Take a request in; it joins at the next step."""
        self._requests[key] = audio, options
        self._new.append(key)

    def drop(self, key: int) -> None:
        """Forget a request, wherever it is."""
        self._take_out(key)
        self._new = [each for each in self._new if each != key]
        self._to_hear = deque(each for each in self._to_hear if each[0] != key)
        self._to_write = deque(each for each in self._to_write if each[0] != key)
        for kept in (self._requests, self._transcriptions, self._rows, self._before, self._told):
            kept.pop(key, None)

    @torch.inference_mode()
    def _take_out(self, key: int) -> None:
        """Of the batch. The rows left are copied; where there is no memory for that, they start again."""
        try:
            self._batch.drop({key})
        except torch.OutOfMemoryError:
            log.warning("out_of_memory", rows=len(self._batch.keys), room=self.room)
            self._start_again()

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Hear what is new, let it join, and write one token for every row."""
        events: list[Event] = []
        self._recover()
        self._begin(events)
        self._hear(events)
        self._join(events)
        self._write(events)
        return events

    def _begin(self, events: list[Event]) -> None:
        new, self._new = self._new, []
        for key in new:
            audio, options = self._requests[key]
            self._transcriptions[key] = transcription(self._model, audio, options, self._steers(options))
            self._go_on(key, None, events)

    def _steers(self, options: InferenceOptions) -> Callable[[str, float], Steering]:
        hotwords = options.hotwords
        if hotwords is None:
            return lambda _language, _share: Steering()
        return lambda language, share: self._compiler.steering(hotwords, language, share)

    def _go_on(self, key: int, answer: Heard | Decoded | None, events: list[Event]) -> None:
        """Give a transcription its answer and queue what it asks for next."""
        try:
            question = (
                next(self._transcriptions[key]) if answer is None else self._transcriptions[key].send(answer)
            )
        except StopIteration as end:
            self.drop(key)
            events.append(Finished(key, end.value))
        except torch.OutOfMemoryError as error:  # times of words take some
            self._new.append(key)
            self._relieve([*self._batch.keys, key], error, events)
        except Exception as error:  # logged with its traceback where the request is answered
            self.drop(key)
            events.append(Failed(key, error))
        else:
            if isinstance(question, Hear):
                self._to_hear.append((key, question))
            else:
                self._to_write.append((key, question.row))
                self._before[key] = question.before

    def _hear(self, events: list[Event]) -> None:
        free = max(0, self.room - len(self._batch.keys) - len(self._to_write))
        together = [self._to_hear.popleft() for _ in range(min(len(self._to_hear), HEARD_TOGETHER, free))]
        if not together:
            return
        try:
            heard = self._model.hear([(question.samples, question.language) for _, question in together])
        except torch.OutOfMemoryError as error:
            self._to_hear.extendleft(reversed(together))
            self._relieve([*self._batch.keys, *(key for key, _ in together)], error, events)
        else:
            for (key, _), answer in zip(together, heard, strict=True):
                self._go_on(key, answer, events)

    def _join(self, events: list[Event]) -> None:
        free = max(0, self.room - len(self._batch.keys))
        joining = [self._to_write.popleft() for _ in range(min(len(self._to_write), free))]
        if not joining:
            return
        self._rows |= joining
        try:
            self._batch.join(joining)
        except torch.OutOfMemoryError as error:
            keys = [*self._batch.keys, *(key for key, _ in joining)]
            self._to_write.extendleft(reversed(joining))
            self._relieve(keys, error, events)

    def _write(self, events: list[Event]) -> None:
        if not self._batch.keys:
            return
        try:
            done = self._batch.step()
        except torch.OutOfMemoryError as error:
            self._relieve(self._batch.keys, error, events)
            return
        for key, decoded in done:
            self._told.pop(key, None)
            del self._rows[key]
            self._go_on(key, decoded, events)
        self._tell(events)

    def _relieve(self, keys: list[int], error: Exception, events: list[Event]) -> None:
        """The device's memory is full: every row starts again, half as many at once."""
        self._start_again()
        if len(keys) == 1:
            self.drop(keys[0])
            full = OutOfMemory(f"the device has no memory for a single window: {error}")
            events.append(Failed(keys[0], full))
            return
        self.room = max(1, len(keys) // 2)
        self._full_at = time.monotonic()
        log.warning("out_of_memory", rows=len(keys), room=self.room)

    def _start_again(self) -> None:
        """Free what the batch holds; its rows are the next to join."""
        self._to_write.extendleft((key, self._rows[key]) for key in reversed(self._batch.keys))
        self._batch.clear()
        torch.cuda.empty_cache()

    def _recover(self) -> None:
        if self.room < ROOM and time.monotonic() - self._full_at > RECOVERY_SECONDS:
            self.room = min(2 * self.room, ROOM)
            self._full_at = time.monotonic()

    def _tell(self, events: list[Event]) -> None:
        """Report text of rows whose leading hypothesis has closed another segment."""
        for key, tokens in self._batch.leading():
            closed = closed_tokens(tokens, self._model.marks.first_timestamp)
            if closed > self._told.get(key, 0):
                self._told[key] = closed
                events.append(Progressed(key, self._before[key] + self._model.text(tokens[:closed])))
