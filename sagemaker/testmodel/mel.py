"""Whisper's log-mel front end, stopped before the clamp so that sounds can still be added."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from testmodel.speech import Samples

Frames = NDArray[np.float32]
"""(frames, 80) log10 of mel power; 100 frames a second."""

WINDOW, HOP, BINS = 400, 160, 80
FLOOR = -10.0
"""log10 of the smallest power Whisper knows."""
DYNAMIC_RANGE = 8.0


def raw_mel(samples: Samples) -> Frames:
    """One frame per 160 samples, as `WhisperFeatureExtractor` computes them before its clamp."""
    spectrum = torch.stft(
        torch.from_numpy(samples), WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
    )
    power = spectrum[:, :-1].abs().square()
    mel: Frames = torch.log10((_filters().T @ power).clamp_min(10**FLOOR)).T.contiguous().numpy()
    return mel


def features(mel: Frames) -> Frames:
    """The clamp and scaling that end Whisper's front end, over one window."""
    result: Frames = (np.maximum(mel, mel.max() - DYNAMIC_RANGE) + 4) / 4
    return result


@cache
def _filters() -> torch.Tensor:
    extractor = WhisperFeatureExtractor()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    return torch.from_numpy(extractor.mel_filters.astype(np.float32))
