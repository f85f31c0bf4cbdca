"""OpenAI's transcription form, as AWS's vLLM and WhisperX containers take it."""

from collections.abc import Iterator

import msgspec

from services.contracts.inference import InferenceResult, Segment, Task, Timestamps, Word
from services.transcriber.contract import Adapter, Asked, Call, Carried
from services.transcriber.form import Part, multipart
from services.transcriber.texts import heard

ROUTES = {Task.TRANSCRIBE: "/v1/audio/transcriptions", Task.TRANSLATE: "/v1/audio/translations"}
"""vLLM's container finds its route in CustomAttributes; others do not look there."""


class _Word(msgspec.Struct, frozen=True):
    word: str
    start: float | None = None
    end: float | None = None
    """WhisperX times no word that it could not align."""


class _Segment(msgspec.Struct, frozen=True):
    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None


class _Answer(msgspec.Struct, frozen=True):
    text: str
    language: str | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None


def _call(asked: Asked) -> Call:
    body, content_type = multipart(_parts(asked, temperature=asked.options.temperature))
    return Call(body=body, content_type=content_type, attributes=f"route={ROUTES[asked.options.task]}")


def _whisperx_call(asked: Asked) -> Call:
    """Its server hands prompt and temperature to a function that takes neither, and answers 500."""
    body, content_type = multipart(_parts(msgspec.structs.replace(asked, prompt=""), temperature=0))
    return Call(body=body, content_type=content_type)


def _parts(asked: Asked, *, temperature: float) -> Iterator[Part]:
    fields = {
        "response_format": "verbose_json",
        "language": asked.options.language,
        "prompt": asked.prompt,
        "temperature": str(temperature) if temperature else "",
    }
    for name, value in fields.items():
        if value:
            yield Part(name, value.encode())
    for unit in Timestamps:
        if unit is Timestamps.SEGMENT or asked.options.timestamps is unit:
            yield Part("timestamp_granularities[]", unit.encode())
    yield Part("file", asked.flac, "audio/flac", "chunk.flac")


def _result(raw: bytes, asked: Asked) -> InferenceResult:
    answer = msgspec.json.decode(raw, type=_Answer)
    segments = [_segment(segment) for segment in answer.segments or ()]
    words = None if answer.words is None else list(_timed(answer.words))
    return heard(asked, answer.text, language=answer.language, segments=segments, words=words)


def _segment(segment: _Segment) -> Segment:
    return Segment(
        start=segment.start,
        end=segment.end,
        text=segment.text,
        avg_logprob=segment.avg_logprob or 0.0,
        no_speech_prob=segment.no_speech_prob or 0.0,
        compression_ratio=segment.compression_ratio or 0.0,
    )


def _timed(words: list[_Word]) -> Iterator[Word]:
    """A word without times stands where the one before it ended."""
    now = 0.0
    for word in words:
        start = now if word.start is None else word.start
        now = start if word.end is None else word.end
        yield Word(start=start, end=now, word=word.word)


OPENAI = Adapter(carries=frozenset(Carried) - {Carried.BIAS, Carried.LANGUAGES}, call=_call, result=_result)
WHISPERX = Adapter(
    carries=frozenset({Carried.LANGUAGE, Carried.WORD_TIMES}), call=_whisperx_call, result=_result
)
