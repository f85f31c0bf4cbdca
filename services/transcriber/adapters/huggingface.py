"""Hugging Face's containers: a bare file, or JSON where their toolkit is new enough to take parameters.

Old: aws/sagemaker-huggingface-inference-toolkit. New: huggingface/huggingface-inference-toolkit, which
decodes base64 only where there are parameters.
"""

import base64

import msgspec

from services.contracts.inference import InferenceOptions, InferenceResult, Segment, Timestamps, Word
from services.transcriber.contract import Adapter, Asked, Call, Carried
from services.transcriber.texts import heard


class _Chunk(msgspec.Struct, frozen=True):
    text: str
    timestamp: tuple[float | None, float | None]


class _Answer(msgspec.Struct, frozen=True):
    text: str
    chunks: list[_Chunk] | None = None


def _bare_call(asked: Asked) -> Call:
    return Call(body=asked.flac, content_type="audio/flac")


def _json_call(asked: Asked) -> Call:
    words = asked.options.timestamps is Timestamps.WORD
    body = {
        "inputs": base64.b64encode(asked.flac).decode(),
        "parameters": {
            "return_timestamps": "word" if words else True,
            "generate_kwargs": _generation(asked.options),
        },
    }
    return Call(body=msgspec.json.encode(body), content_type="application/json")


def _generation(options: InferenceOptions) -> dict[str, object]:
    asked: dict[str, object] = {"task": options.task}
    if options.language:
        asked["language"] = options.language
    if options.temperature:
        asked["temperature"] = options.temperature
    return asked


def _result(raw: bytes, asked: Asked) -> InferenceResult:
    answer = msgspec.json.decode(raw, type=_Answer)
    timed = [(*_times(chunk, asked.seconds), chunk.text) for chunk in answer.chunks or ()]
    if asked.options.timestamps is Timestamps.WORD and timed:
        words = [Word(start=start, end=end, word=text) for start, end, text in timed]
        return heard(asked, answer.text, words=words)
    segments = [Segment(start=start, end=end, text=text) for start, end, text in timed]
    return heard(asked, answer.text, segments=segments)


def _bare_result(raw: bytes, asked: Asked) -> InferenceResult:
    """No times of words were asked for: whatever chunks there are, they are phrases."""
    options = msgspec.structs.replace(asked.options, timestamps=Timestamps.SEGMENT)
    return _result(raw, msgspec.structs.replace(asked, options=options))


def _times(chunk: _Chunk, seconds: float) -> tuple[float, float]:
    """A phrase that was cut off has no end."""
    start, end = chunk.timestamp
    return start or 0.0, seconds if end is None else end


HUGGINGFACE = Adapter(carries=frozenset(), call=_bare_call, result=_bare_result)
HUGGINGFACE_JSON = Adapter(
    carries=frozenset({Carried.LANGUAGE, Carried.TRANSLATION, Carried.WORD_TIMES, Carried.TEMPERATURE}),
    call=_json_call,
    result=_result,
)
