"""What the model is told before it writes: the language and the task, as tokens of its own."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import soundfile

from endpoint.audio import Samples
from endpoint.engine import Engine
from endpoint.errors import BadInput
from endpoint.events import Finished
from endpoint.model import WhisperModel
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, Task
from tests import speech

STEPS = 500
"""More than the text has tokens, however often it is tried again."""
MODEL = Path(__file__).parents[2] / ".setup/models/whisper-duo"


class Noting(WhisperModel):
    """Notes the tokens that texts began with."""

    def __init__(self) -> None:
        super().__init__(str(MODEL), device="cpu", threads=1, local_only=True)
        self.begun: list[tuple[int, ...]] = []

    def prefix(self, language: str, task: Task, prompt: Sequence[int]) -> tuple[int, ...]:
        self.begun.append(super().prefix(language, task, prompt))
        return self.begun[-1]


@pytest.fixture(scope="module")
def model() -> Noting:
    return Noting()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    speech.recording(path, count=1, seed=1, rate=SAMPLE_RATE)
    samples: Samples = soundfile.read(path, dtype="float32")[0]
    return samples


def told(model: Noting, clip: Samples, options: InferenceOptions) -> tuple[str, list[str]]:
    """The language of the text, and the special tokens that it began with."""
    engine = Engine(model, "duo", bundled=True)
    engine.check(options)
    engine.add(0, clip, options)
    model.begun.clear()
    events = [event for _ in range(STEPS) for event in engine.step()]
    [finished] = [event for event in events if isinstance(event, Finished)]
    return finished.result.language, model._processor.tokenizer.convert_ids_to_tokens(list(model.begun[0]))


@pytest.mark.parametrize("task", Task)
def test_the_task_reaches_the_model(model: Noting, clip: Samples, task: Task) -> None:
    """The bundled model has learned no translation, so its text does not tell."""
    _language, names = told(model, clip, InferenceOptions(task=task))
    assert names == ["<|startoftranscript|>", "<|en|>", f"<|{task}|>"]


@pytest.mark.parametrize(
    ("languages", "chosen"), [((), "en"), (("zh", "en"), "en"), (("zh",), "zh"), (("zh", "de"), "zh")]
)
def test_only_the_languages_given_are_detected(
    model: Noting, clip: Samples, languages: tuple[str, ...], chosen: str
) -> None:
    language, names = told(model, clip, InferenceOptions(languages=languages))
    assert (language, names[1]) == (chosen, f"<|{chosen}|>")


def test_a_language_that_the_model_does_not_know_is_named(model: Noting) -> None:
    with pytest.raises(BadInput, match="elvish"):
        Engine(model, "duo", bundled=True).check(InferenceOptions(languages=("en", "elvish")))
