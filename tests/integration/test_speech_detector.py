"""The real speech detector: hears speech, carries its state from block to block, and never loads torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from services.chunker.cutting import FRAME, Samples
from services.chunker.decode import BLOCK_SAMPLES
from services.chunker.speech import SpeechDetector, SpeechModel
from services.contracts.inference import SAMPLE_RATE
from tests.speech import recording


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return SpeechModel()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    recording(path, seconds=30, seed=2, rate=SAMPLE_RATE)
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples[: len(samples) // FRAME * FRAME])


def test_speech_is_heard_and_silence_is_not(model: SpeechModel, speech: Samples) -> None:
    assert np.mean(SpeechDetector(model).probabilities(speech) > 0.5) > 0.5
    assert SpeechDetector(model).probabilities(np.zeros(BLOCK_SAMPLES, np.int16)).max() == 0


def test_blocks_are_heard_like_the_whole(model: SpeechModel, speech: Samples) -> None:
    detector = SpeechDetector(model)
    blocks = [speech[start : start + BLOCK_SAMPLES] for start in range(0, len(speech), BLOCK_SAMPLES)]
    heard = np.concatenate([detector.probabilities(block) for block in blocks])
    assert np.allclose(heard, SpeechDetector(model).probabilities(speech), atol=1e-4)


def test_the_last_block_may_have_any_length(model: SpeechModel, speech: Samples) -> None:
    for length in (1, FRAME - 1, FRAME + 1, BLOCK_SAMPLES - 7):
        assert SpeechDetector(model).probabilities(speech[:length]).shape == (-(-length // FRAME),)


def test_digital_silence_is_forgotten(model: SpeechModel, speech: Samples) -> None:
    """After a silent block the detector hears as if it were new."""
    detector = SpeechDetector(model)
    detector.probabilities(speech)
    detector.probabilities(np.zeros(BLOCK_SAMPLES, np.int16))
    fresh = SpeechDetector(model).probabilities(speech)
    assert np.array_equal(detector.probabilities(speech), fresh)


def test_torch_is_not_loaded() -> None:
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); import services.chunker.chunks; "
        "from services.chunker.speech import SpeechModel; SpeechModel(); print('torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert told.stdout.strip() == "False"
