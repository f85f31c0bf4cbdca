"""SageMaker JumpStart's Whisper: JSON with the file in hexadecimal in, a list of one text out."""

import msgspec

from services.contracts.inference import InferenceResult, Task
from services.contracts.languages import name_of
from services.transcriber.contract import Adapter, Asked, Call, Carried
from services.transcriber.texts import heard


class _Answer(msgspec.Struct, frozen=True):
    text: str | list[str]


def _call(asked: Asked) -> Call:
    """Language and task belong together there: a language without a task breaks its container."""
    body: dict[str, object] = {"audio_input": asked.flac.hex()}
    if asked.options.language:
        body["language"] = name_of(asked.options.language)
    if asked.options.language or asked.options.task is not Task.TRANSCRIBE:
        body["task"] = asked.options.task
    return Call(body=msgspec.json.encode(body), content_type="application/json")


def _result(raw: bytes, asked: Asked) -> InferenceResult:
    text = msgspec.json.decode(raw, type=_Answer).text
    return heard(asked, text if isinstance(text, str) else " ".join(text))


JUMPSTART = Adapter(carries=frozenset({Carried.LANGUAGE, Carried.TRANSLATION}), call=_call, result=_result)
