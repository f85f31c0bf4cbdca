"""A model that cannot transcribe is never called ready."""

import shutil
from pathlib import Path

import msgspec
import pytest

from endpoint.loading import engine
from endpoint.settings import EndpointSettings

MODEL = Path(__file__).parents[2] / ".setup/models/whisper-duo"


def test_a_model_that_fails_on_silence_is_not_loaded(tmp_path: Path) -> None:
    broken = shutil.copytree(MODEL, tmp_path / "model")
    config = broken / "generation_config.json"
    facts = msgspec.json.decode(config.read_bytes())
    config.write_bytes(msgspec.json.encode(facts | {"task_to_id": {}}))
    with pytest.raises(KeyError, match="transcribe"):
        engine(EndpointSettings(whisper_model=str(broken), torch_threads=1))
