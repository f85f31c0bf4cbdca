"""OpenAI's transcription form, which vLLM's and WhisperX's containers take too.

https://platform.openai.com/docs/api-reference/audio/createTranscription. Fields that we do not know are
ignored, as such servers do; `hotwords` and `keywords[]` are what some of them have added.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial

from aiohttp import web

from endpoint.answers import json_answer, text_answer
from endpoint.audio import Samples, converted
from endpoint.bodies import Form
from endpoint.errors import BadInput
from endpoint.fields import language
from endpoint.invocation import Chunk, Invocation
from endpoint.options import checked
from services.common.subtitles import srt, vtt
from services.contracts.hotwords import Hotwords
from services.contracts.inference import SAMPLE_RATE, InferenceOptions, InferenceResult, Task, Timestamps
from services.contracts.languages import name_of

FILE_PART = "file"
HOTWORD_FIELDS = ("hotwords", "keywords", "keywords[]")
GRANULARITIES = ("timestamp_granularities[]", "timestamp_granularities")
NOT_HAD = {
    "stream": "ask for Accept application/jsonlines instead",
    "diarize": "nobody tells speakers apart, leave it out",
}
"""Fields whose answer would have another shape: to ignore them would not go unnoticed for long."""
SEPARATORS = re.compile(r"[,，、\n\r]")


class ResponseFormat(StrEnum):
    """How a client wants the transcript."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


def of_form(form: Form, *, translates: bool = False) -> Invocation:
    """Part `file` and OpenAI's fields; `translates` for the route of translations. Raises `BadInput`."""
    for field, remedy in NOT_HAD.items():
        if _text(form, field).lower() in ("true", "1"):
            raise BadInput(f"{field} is not had here: {remedy}", field)
    samples = converted(form[FILE_PART][0], FILE_PART)
    task = Task.TRANSLATE if translates else Task.TRANSCRIBE
    answer = partial(ANSWERS[_response_format(form)], samples, task)
    return Invocation(Chunk(samples, _options(form, task)), answer)


def _options(form: Form, task: Task) -> InferenceOptions:
    words = tuple(_hotwords(form))
    options = InferenceOptions(
        language=language(_text(form, "language")),
        task=task,
        prompt=_text(form, "prompt"),
        temperature=_temperature(form),
        timestamps=_timestamps(form),
        hotwords=Hotwords(words=words) if words else None,
    )
    return checked(options, {"hotwords.words": "hotwords"})


def _text(form: Form, field: str) -> str:
    return next(_texts(form, field), "")


def _texts(form: Form, field: str) -> Iterator[str]:
    for body in form.get(field, ()):
        try:
            yield body.decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"{field} is no UTF-8 text: {error}", field) from error


def _hotwords(form: Form) -> Iterator[str]:
    for field in HOTWORD_FIELDS:
        for text in _texts(form, field):
            yield from (word for word in SEPARATORS.split(text) if word.strip())


def _temperature(form: Form) -> float:
    text = _text(form, "temperature")
    try:
        return float(text or 0)
    except ValueError as error:
        raise BadInput(f"temperature {text[:80]!r} is no number", "temperature") from error


def _timestamps(form: Form) -> Timestamps:
    asked = {text for field in GRANULARITIES for text in _texts(form, field)}
    if unknown := asked - set(Timestamps):
        choices = " or ".join(Timestamps)
        raise BadInput(f"unknown granularity {min(unknown)[:80]!r}: use {choices}", GRANULARITIES[0])
    return Timestamps.WORD if Timestamps.WORD in asked else Timestamps.SEGMENT


def _response_format(form: Form) -> ResponseFormat:
    text = _text(form, "response_format") or ResponseFormat.JSON
    try:
        return ResponseFormat(text)
    except ValueError as error:
        choices = ", ".join(ResponseFormat)
        raise BadInput(f"unknown response_format {text[:80]!r}: use {choices}", "response_format") from error


def _json(_samples: Samples, _task: Task, result: InferenceResult) -> web.Response:
    return json_answer({"text": result.text})


def _plain(_samples: Samples, _task: Task, result: InferenceResult) -> web.Response:
    return text_answer(result.text + "\n")


def _srt(_samples: Samples, _task: Task, result: InferenceResult) -> web.Response:
    return text_answer(srt(result.segments), "application/x-subrip")


def _vtt(_samples: Samples, _task: Task, result: InferenceResult) -> web.Response:
    return text_answer(vtt(result.segments), "text/vtt")


def _verbose(samples: Samples, task: Task, result: InferenceResult) -> web.Response:
    """`words` are there where they were asked for and the model can time them."""
    body: dict[str, object] = {
        "task": task,
        "language": name_of(result.language),
        "duration": len(samples) / SAMPLE_RATE,
        "text": result.text,
        "segments": [
            {
                "id": number,
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "avg_logprob": segment.avg_logprob,
                "compression_ratio": segment.compression_ratio,
                "no_speech_prob": segment.no_speech_prob,
            }
            for number, segment in enumerate(result.segments)
        ],
    }
    return json_answer(body | ({"words": result.words} if result.words is not None else {}))


ANSWERS: dict[ResponseFormat, Callable[[Samples, Task, InferenceResult], web.Response]] = {
    ResponseFormat.JSON: _json,
    ResponseFormat.TEXT: _plain,
    ResponseFormat.SRT: _srt,
    ResponseFormat.VTT: _vtt,
    ResponseFormat.VERBOSE_JSON: _verbose,
}
