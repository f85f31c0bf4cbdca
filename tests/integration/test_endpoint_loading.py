"""A model that cannot transcribe is never called ready."""

import shutil
from pathlib import Path

import msgspec
import pytest
import soundfile

from endpoint.events import Finished
from endpoint.loading import engine
from endpoint.model_choice import chosen
from endpoint.settings import EndpointSettings
from services.common.errors import Misconfigured
from services.common.settings import load
from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.inference import InferenceOptions, Timestamps
from tests.container import said
from tests.speech import word_error_rate

MODEL = Path(__file__).parents[2] / ".setup/models/whisper-duo"


def test_a_model_that_fails_on_silence_is_not_loaded(tmp_path: Path) -> None:
    broken = shutil.copytree(MODEL, tmp_path / "model")
    config = broken / "generation_config.json"
    facts = msgspec.json.decode(config.read_bytes())
    config.write_bytes(msgspec.json.encode(facts | {"task_to_id": {}}))
    with pytest.raises(KeyError, match="transcribe"):
        engine(EndpointSettings(torch_threads=1), chosen(str(broken)))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_hears_the_same_words(tmp_path: Path, precision: str) -> None:
    """With all that computes beside the model: hotwords, beams, times of words."""
    settings = load(
        EndpointSettings,
        {"TORCH_THREADS": "1", "DEVICE": "cpu", "PRECISION": precision},
    )
    words = "hello Katherine how are you today"
    samples, _ = soundfile.read(said(words, tmp_path / "clip.wav"), dtype="float32")
    loaded, results = engine(settings, chosen(str(MODEL))), []
    bias = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Katherine",), boost_factor=4)
    loaded.add(1, samples, InferenceOptions(language="en", hotwords=bias, timestamps=Timestamps.WORD))
    while loaded.rows:
        results += [event.result for event in loaded.step() if isinstance(event, Finished)]
    [result] = results
    assert word_error_rate(words, result.text) == 0
    assert len(result.words or ()) == len(words.split())


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(Misconfigured, match="PRECISION='half'"):
        load(EndpointSettings, {"PRECISION": "half"})
