"""Audio of any rate at another rate."""

import math

import numpy as np
import numpy.typing as npt

MARGIN_SECONDS = 0.1
"""Silence after the end: the transform is periodic, so the end would ring into the start."""


def resampled(samples: npt.NDArray[np.float32], rate: int, wanted: int) -> npt.NDArray[np.float32]:
    """`samples` (n,) at `rate` Hz as they are at `wanted` Hz: the spectrum below both halves is kept.

    Padded to a length that both rates divide, so that no sample shifts.
    """
    if rate == wanted or not len(samples):
        return samples
    step = rate // math.gcd(rate, wanted)
    steps = math.ceil((len(samples) + MARGIN_SECONDS * rate) / step)
    before, after = steps * step, steps * step * wanted // rate
    spectrum = np.fft.rfft(samples, before)[: after // 2 + 1]
    whole = np.fft.irfft(spectrum, after) * (after / before)
    return whole[: round(len(samples) * wanted / rate)].astype(np.float32)
