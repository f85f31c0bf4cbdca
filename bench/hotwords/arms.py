"""Our engine's ways to transcribe with a list, run in process, many requests at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.hotwords.corpus import Samples
from bench.hotwords.encodings import Encodings
from bench.hotwords.lists import Request
from endpoint.engine import Engine
from endpoint.events import Failed, Finished
from endpoint.model import Heard, Languages, WhisperModel
from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.inference import InferenceOptions

BATCH = 8


class Arm(Protocol):
    """One way to transcribe; `boost` means nothing to those that only prompt."""

    follows_engine: bool
    """Whether other code of our engine may give other texts."""

    @property
    def spared(self) -> float:
        """As in `Encodings`."""
        ...

    def texts(self, requests: Sequence[Request], boost: float) -> list[str]:
        """The text of each request, in order."""
        ...


class RememberingModel(WhisperModel):
    """Our model; a window heard before is not encoded again."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(str(folder), device="cpu", threads=threads, local_only=True)
        self.encodings: Encodings[Heard] = Encodings()

    def hear(self, windows: Sequence[tuple[Samples, Languages]]) -> list[Heard]:
        """All windows of a run are in the same language, which is given."""

        def encode(places: list[int]) -> list[Heard]:
            return super(RememberingModel, self).hear([windows[place] for place in places])

        return self.encodings.of([samples for samples, _ in windows], encode)


class Ours:
    """Our engine; without a method it does not get the words."""

    follows_engine = True

    def __init__(self, model: RememberingModel, language: str, method: HotwordMethod | None) -> None:
        self._engine = Engine(model, "test model", bundled=True)
        self._encodings = model.encodings
        self._language = language
        self._method = method

    @property
    def spared(self) -> float:
        """Shared by all of our methods: they hear with one model."""
        return self._encodings.spared

    def texts(self, requests: Sequence[Request], boost: float) -> list[str]:
        """`BATCH` requests are in the engine whenever there are that many left."""
        found: dict[int, str] = {}
        waiting = list(enumerate(requests))[::-1]
        while len(found) < len(requests):
            while waiting and self._engine.rows < BATCH:
                key, request = waiting.pop()
                self._engine.add(key, request.clip.samples, self._options(request, boost))
            for event in self._engine.step():
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Finished):
                    found[event.key] = event.result.text
        return [found[key] for key in range(len(requests))]

    def _options(self, request: Request, boost: float) -> InferenceOptions:
        if self._method is None:
            return InferenceOptions(language=self._language)
        words = Hotwords(method=self._method, words=request.words, boost_factor=boost)
        return InferenceOptions(language=self._language, hotwords=words)
