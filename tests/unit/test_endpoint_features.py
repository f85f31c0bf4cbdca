"""The spectrogram beside that of transformers' own extractor."""

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from endpoint.features import Features
from services.contracts.inference import SAMPLE_RATE


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize(
    "count", [0, 1, 160, 201, 16_000, 123_457, 479_440, 479_441, 479_999, 480_000, 480_001]
)
def test_features_are_those_of_transformers(count: int, bins: int) -> None:
    extractor = WhisperFeatureExtractor(feature_size=bins)  # type: ignore[no-untyped-call]  # theirs
    samples = np.random.default_rng(count).standard_normal(count).astype(np.float32) * np.float32(0.1)
    theirs = extractor([samples], sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features[0]
    ours = Features(extractor, torch.device("cpu")).of(samples)
    assert torch.allclose(ours, theirs, atol=1e-5)
