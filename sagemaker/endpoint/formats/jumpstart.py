"""SageMaker JumpStart's Whisper: JSON with the file in hexadecimal; `text` is a list of one."""

import msgspec
from aiohttp import web

from endpoint.answers import json_answer
from endpoint.audio import converted
from endpoint.errors import BadInput
from endpoint.fields import language, strict
from endpoint.invocation import Chunk, Invocation
from endpoint.options import checked
from services.contracts.inference import InferenceOptions, InferenceResult, Task


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    audio_input: str
    language: str | None = None
    task: Task = Task.TRANSCRIBE
    num_beams: int = 1
    max_length: int | None = None
    """No effect, like the next two: a transcript is never cut short."""
    max_new_tokens: int | None = None
    max_time: float | None = None


def of_json(body: bytes) -> Invocation:
    """`{"audio_input": hex, "language"?, "task"?, "num_beams"?}`. Raises `BadInput`."""
    request = strict(body, _Request, "the body")
    options = InferenceOptions(
        language=language(request.language), task=request.task, beams=request.num_beams
    )
    chunk = Chunk(
        converted(_audio(request.audio_input), "audio_input"), checked(options, {"beams": "num_beams"})
    )
    return Invocation(chunk, _answer)


def _audio(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise BadInput(f"audio_input is not hexadecimal: {error}", "audio_input") from error


def _answer(result: InferenceResult) -> web.Response:
    return json_answer({"text": [result.text]})
