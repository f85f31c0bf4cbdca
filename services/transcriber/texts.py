"""Transcripts from answers that say less than our own container does."""

import re
from collections.abc import Iterable

from services.contracts.inference import InferenceResult, Segment, Word
from services.contracts.languages import code_of
from services.transcriber.contract import Asked

UNDETERMINED = "und"
"""ISO 639's code for a language that nobody named."""
SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
)
"""Languages told by their script; kana comes first, as Japanese has Han characters too."""


def heard(
    asked: Asked,
    text: str,
    *,
    language: str | None = None,
    segments: Iterable[Segment] = (),
    words: Iterable[Word] | None = None,
) -> InferenceResult:
    """A result with times inside the chunk; text without any is one segment over all of it."""
    text = text.strip()
    timed = tuple(_within(segment, asked.seconds) for segment in segments)
    whole = (Segment(start=0.0, end=asked.seconds, text=text),) if text else ()
    return InferenceResult(
        text=text,
        language=asked.options.language or code_of(language or "") or _by_script(text),
        segments=timed or whole,
        words=None if words is None else tuple(words),
    )


def _within(segment: Segment, seconds: float) -> Segment:
    return Segment(
        start=min(segment.start, seconds),
        end=min(segment.end, seconds),
        text=segment.text.strip(),
        avg_logprob=segment.avg_logprob,
        no_speech_prob=segment.no_speech_prob,
        compression_ratio=segment.compression_ratio,
    )


def _by_script(text: str) -> str:
    return next((code for code, script in SCRIPTS if script.search(text)), UNDETERMINED)
