"""The speech the test model learns from: samples and the times in them."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

import testmodel
from testmodel.bank import spoken, unit_starts
from testmodel.languages import LANGUAGES
from testmodel.mel import features, raw_mel
from testmodel.speech import SAMPLE_RATE, espeak, resampled
from testmodel.vocabulary import Language

PACKAGES = Path(testmodel.__file__).parent.parent
SAYING = """
import hashlib
from testmodel.speech import espeak
samples = [espeak().say(text, "en-us").samples.tobytes() for text in ("Hello John.", "Please stop.")]
print(hashlib.sha256(b"".join(samples)).hexdigest())
"""

languages = pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.code)


def test_words_have_rising_times_within_the_sound() -> None:
    said = espeak().say("Please open the window.", "en-us")
    times = [seconds for _, seconds in said.words]
    assert [place for place, _ in said.words] == [0, 7, 12, 16]
    assert times == sorted(times)
    assert times[-1] < len(said.samples) / SAMPLE_RATE


def test_a_fresh_process_says_the_same_again() -> None:
    """Within a process the noises of a word differ from one time to the next."""
    one, other = (
        subprocess.run([sys.executable, "-c", SAYING], check=True, capture_output=True, cwd=PACKAGES).stdout
        for _ in range(2)
    )
    assert one == other
    assert len(one) == 65


def test_a_voice_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="nobody"):
        espeak().say("Hello.", "nobody")


def test_resampling_keeps_a_tone() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(44_100) / 22_050).astype(np.float32)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000)
    assert np.abs(resampled(tone) - wanted).max() < 1e-3


def test_the_front_end_is_that_of_whisper() -> None:
    samples = np.random.default_rng(0).standard_normal(30 * SAMPLE_RATE).astype(np.float32)
    theirs = WhisperFeatureExtractor()(samples, sampling_rate=SAMPLE_RATE)  # type: ignore[no-untyped-call]
    assert np.allclose(features(raw_mel(samples)), theirs.input_features[0].T, atol=1e-4)


@languages
def test_every_unit_of_a_sentence_has_its_time(language: Language) -> None:
    chance = random.Random(4)
    for _ in range(20):
        clip, samples = spoken(language, language.sentence(chance), chance)
        assert len(clip.units) == len(unit_starts(language, language.spelled(clip.sentence)))
        assert clip.seconds == len(samples) / SAMPLE_RATE
        assert all(0 <= begin < end <= clip.seconds + 0.05 for begin, end in clip.units)
        assert all(name.startswith(language.code) for name, _ in clip.phonemes)
