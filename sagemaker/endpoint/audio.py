"""The audio of one request as float samples: at most 30 s at 16 kHz, of one channel."""

import io

import numpy as np
import numpy.typing as npt
import soundfile

from endpoint.errors import BadInput
from endpoint.resampling import resampled
from services.contracts.inference import AUDIO_PART, MAX_AUDIO_SECONDS, SAMPLE_RATE

Samples = npt.NDArray[np.float32]
"""(n,) at 16 kHz, -1 to 1."""

LOUDEST = 2.0**31
"""Integers of 32 bits that nobody scaled are still heard well; far above, the spectrum overflows."""
NATIVE = ("FLAC", "WAV", "WAVEX")
READABLE = (*NATIVE, "RF64", "W64", "OGG", "MP3", "AIFF", "AU", "CAF")
"""What other contracts' clients may send; OGG holds Vorbis or Opus."""
CHANNELS = 2
RATES = (4_000, 96_000)
UNKNOWN_FRAMES = 2**63 - 1
"""libsndfile's length of a FLAC stream that was never finished; it cannot read one."""


def decoded(body: bytes, field: str = AUDIO_PART) -> Samples:
    """Samples of a FLAC or WAV file, 16 kHz mono. Raises `BadInput` with the cause and the remedy."""
    with _opened(body, NATIVE, field) as file:
        if file.samplerate != SAMPLE_RATE:
            raise BadInput(f"the audio has {file.samplerate} samples a second: send {SAMPLE_RATE}", field)
        if file.channels != 1:
            raise BadInput(f"the audio has {file.channels} channels: send one", field)
        return checked(_read(file, field), field)[:, 0]


def converted(body: bytes, field: str = AUDIO_PART) -> Samples:
    """Samples of any file that libsndfile reads, mono or stereo, at any usual rate. Raises `BadInput`."""
    with _opened(body, READABLE, field) as file:
        if not RATES[0] <= file.samplerate <= RATES[1]:
            raise BadInput(
                f"the audio has {file.samplerate} samples a second: send {RATES[0]} to {RATES[1]}", field
            )
        if file.channels > CHANNELS:
            raise BadInput(f"the audio has {file.channels} channels: send one or two", field)
        samples = checked(_read(file, field), field, file.samplerate)
        return resampled(samples.mean(axis=1), file.samplerate, SAMPLE_RATE)


def checked(samples: Samples, field: str = AUDIO_PART, rate: int = SAMPLE_RATE) -> Samples:
    """The samples, if there are any, at most 30 s, and numbers all of them. Raises `BadInput`."""
    if not len(samples):
        raise BadInput("the audio lasts 0 s: send a recording", field)
    if len(samples) > MAX_AUDIO_SECONDS * rate:
        raise BadInput(f"the audio is longer than {MAX_AUDIO_SECONDS:g} s: send at most that", field)
    if not (np.abs(samples) <= LOUDEST).all():  # also refuses nan
        raise BadInput("the audio holds samples that are NaN, infinite or far beyond -1 to 1", field)
    return samples


def _opened(body: bytes, formats: tuple[str, ...], field: str) -> soundfile.SoundFile:
    """The file with its header read: a small one may unpack to hours of silence."""
    if not body:
        raise BadInput("the audio is empty: send a FLAC or WAV file", field)
    try:
        file = soundfile.SoundFile(io.BytesIO(body))
    except soundfile.LibsndfileError as error:
        raise BadInput(f"the audio cannot be read ({_said(error)}): send FLAC or WAV", field) from error
    if file.format not in formats:
        raise BadInput(f"the audio is {file.format}: send {', '.join(formats)}", field)
    if file.frames == UNKNOWN_FRAMES:
        raise BadInput("the audio does not say how long it is: send a file that does", field)
    if file.frames > MAX_AUDIO_SECONDS * file.samplerate:
        raise BadInput(
            f"the audio lasts {file.frames / file.samplerate:.2f} s: send at most {MAX_AUDIO_SECONDS:g} s",
            field,
        )
    return file


def _read(file: soundfile.SoundFile, field: str) -> npt.NDArray[np.float32]:
    """(n, channels); one sample more than allowed where the header said less than there is."""
    try:
        samples: npt.NDArray[np.float32] = file.read(
            frames=int(MAX_AUDIO_SECONDS * file.samplerate) + 1, dtype="float32", always_2d=True
        )
    except soundfile.LibsndfileError as error:
        raise BadInput(
            f"the audio breaks off or is damaged ({_said(error)}): send it whole", field
        ) from error
    return samples


def _said(error: soundfile.LibsndfileError) -> str:
    """What libsndfile said, without the Python object that soundfile puts before it."""
    return str(error.error_string).rstrip(".")
