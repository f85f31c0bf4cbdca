"""Request and response of the container's `POST /invocations`.

The request is `multipart/form-data` with two parts: `audio` (FLAC or WAV, 16 kHz mono, at most
30 s) and `options` (JSON of `InferenceOptions`). A bare `audio/*` body means default options.
The response is JSON of `InferenceResult`; times are seconds from the start of the audio sent.
"""

from enum import StrEnum

import msgspec

from services.contracts.channels import Channel
from services.contracts.hotwords import Hotwords, HotwordsReport

SAMPLE_RATE = 16_000
MAX_AUDIO_SECONDS = 30.0
MAX_BODY_BYTES = 6 * 1024 * 1024
"""SageMaker's real-time limit as its service model states it; a 30 s chunk needs under 1 MB."""

MAX_BEAMS = 5
MAX_PROMPT_CHARACTERS = 4_000
"""Far more than the 223 tokens a model can take; the end of a longer prompt is what it gets."""

AUDIO_PART = "audio"
OPTIONS_PART = "options"


class Task(StrEnum):
    """What Whisper writes: the language spoken, or its English translation."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Timestamps(StrEnum):
    """The finest unit that gets start and end times."""

    SEGMENT = "segment"
    WORD = "word"


class InferenceOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one chunk is to be transcribed."""

    language: str | None = None
    """ISO-639-1 code such as `en` or `zh`; None lets the model detect it."""
    languages: tuple[str, ...] = ()
    """What it may detect; empty is everything that it knows."""
    task: Task = Task.TRANSCRIBE
    hotwords: Hotwords | None = None
    timestamps: Timestamps = Timestamps.SEGMENT
    temperature: float = 0.0
    """0 starts the fallback ladder; a higher one samples at just that temperature."""
    prompt: str = ""
    """Text that is taken to precede the audio: it steers spelling and style."""
    beams: int = 1
    """Paths followed at once; `logit_bias` hotwords take two at least."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A phrase with its times (seconds) and Whisper's own quality figures."""

    start: float
    end: float
    text: str
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    compression_ratio: float = 0.0
    channel: Channel = msgspec.UNSET


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word with its times (seconds)."""

    start: float
    end: float
    word: str
    channel: Channel = msgspec.UNSET


class InferenceResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the model heard in one chunk."""

    text: str
    language: str
    segments: tuple[Segment, ...]
    words: tuple[Word, ...] | None = None
    hotwords: HotwordsReport | None = None
