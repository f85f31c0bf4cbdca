"""What the encoder reads: the log-mel spectrogram of a window, as transformers' Whisper extracts it."""

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import WhisperFeatureExtractor

from endpoint.audio import Samples

FLOOR = 1e-10
"""Power of a bin without any sound."""
RANGE = 8.0
"""Bels below the loudest bin at which quieter ones are clipped."""


class Features:
    """Transforms what there is of a window; the silence that fills it up to 30 s is the same each time."""

    def __init__(self, extractor: WhisperFeatureExtractor, device: torch.device) -> None:
        self._size: int = extractor.n_fft
        self._hop: int = extractor.hop_length
        self._samples: int = extractor.n_samples
        self._frames: int = extractor.nb_max_frames
        self._window = torch.hann_window(self._size, device=device)
        self._mel = torch.from_numpy(extractor.mel_filters).to(device, torch.float32).T.contiguous()

    def of(self, samples: Samples) -> Tensor:
        """(mel bins, 3000), float32, of at most 30 s at 16 kHz."""
        sound = torch.from_numpy(samples[: self._samples]).to(self._window.device, torch.float32)
        silence = min(self._size + self._hop, self._samples - len(sound))
        spectrum = torch.stft(
            pad(sound, (0, silence)), self._size, self._hop, window=self._window, return_complex=True
        )
        power = spectrum.real[:, :-1].square() + spectrum.imag[:, :-1].square()
        bels = (self._mel @ power).clamp_min(FLOOR).log10()
        bels = pad(bels, (0, self._frames - bels.shape[1]), value=-10.0)
        return (bels.clamp_min(bels.max() - RANGE) + 4.0) / 4.0
