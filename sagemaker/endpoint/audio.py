"""The audio of one request: FLAC or WAV, 16 kHz mono, at most 30 s, as float samples."""

import io

import numpy as np
import numpy.typing as npt
import soundfile

from endpoint.errors import BadInput
from services.contracts.inference import AUDIO_PART, MAX_AUDIO_SECONDS, SAMPLE_RATE

Samples = npt.NDArray[np.float32]
"""(n,) at 16 kHz, -1 to 1."""

MAX_SAMPLES = int(MAX_AUDIO_SECONDS * SAMPLE_RATE)


def decoded(body: bytes) -> Samples:
    """Samples of a FLAC or WAV file. Raises `BadInput` with the cause and the remedy."""
    if not body:
        raise BadInput("the audio is empty: send a FLAC or WAV file", AUDIO_PART)
    try:
        with soundfile.SoundFile(io.BytesIO(body)) as file:
            _check(file)
            samples: Samples = file.read(frames=MAX_SAMPLES + 1, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise BadInput(f"the audio cannot be read ({error}): send FLAC or WAV", AUDIO_PART) from error
    if len(samples) > MAX_SAMPLES:
        raise _too_long(len(samples))
    if not np.isfinite(samples).all():
        raise BadInput("the audio holds samples that are no numbers (NaN or infinite)", AUDIO_PART)
    return samples


def _check(file: soundfile.SoundFile) -> None:
    """Look at the header only: a small file may unpack to hours of silence."""
    if file.format not in ("FLAC", "WAV", "WAVEX"):
        raise BadInput(f"the audio is {file.format}: send FLAC or WAV", AUDIO_PART)
    if file.samplerate != SAMPLE_RATE:
        raise BadInput(f"the audio has {file.samplerate} samples a second: send {SAMPLE_RATE}", AUDIO_PART)
    if file.channels != 1:
        raise BadInput(f"the audio has {file.channels} channels: send one", AUDIO_PART)
    if file.frames > MAX_SAMPLES:
        raise _too_long(file.frames)


def _too_long(frames: int) -> BadInput:
    length = f"{frames / SAMPLE_RATE:.2f} s" if frames != MAX_SAMPLES + 1 else "longer"
    return BadInput(f"the audio lasts {length}: send at most {MAX_AUDIO_SECONDS:g} s", AUDIO_PART)
