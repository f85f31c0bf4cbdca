"""Hugging Face's containers: JSON with base64 audio and the pipeline's parameters.

`inputs` and `parameters` as in huggingface/huggingface-inference-toolkit, fields of `parameters` as in
transformers' automatic-speech-recognition pipeline.
"""

import base64
import binascii
from collections.abc import Iterable
from functools import partial
from typing import Literal

import msgspec
from aiohttp import web

from endpoint.answers import json_answer
from endpoint.audio import converted
from endpoint.errors import BadInput
from endpoint.fields import language, strict
from endpoint.invocation import Chunk, Invocation
from endpoint.options import checked
from services.contracts.inference import InferenceOptions, InferenceResult, Segment, Task, Timestamps, Word


class _Generation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    language: str | None = None
    task: Task = Task.TRANSCRIBE
    num_beams: int = 1
    temperature: float | list[float] = 0.0
    max_new_tokens: int | None = None
    """No effect: a transcript is never cut short."""


class _Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    return_timestamps: bool | Literal["word"] = False
    generate_kwargs: _Generation = _Generation()
    chunk_length_s: float | None = None
    """No effect, like the two below: the audio is one window."""
    stride_length_s: float | list[float] | None = None
    batch_size: int | None = None


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inputs: str
    parameters: _Parameters | None = None


def of_json(body: bytes) -> Invocation:
    """`{"inputs": base64, "parameters"?: {...}}`. Raises `BadInput`."""
    request = strict(body, _Request, "the body")
    parameters = request.parameters or _Parameters()
    chunk = Chunk(converted(_audio(request.inputs), "inputs"), _options(parameters))
    return Invocation(chunk, partial(_answer, parameters.return_timestamps))


def _audio(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput(f"inputs is not base64: {error}", "inputs") from error


def _options(parameters: _Parameters) -> InferenceOptions:
    asked = parameters.generate_kwargs
    ladder = asked.temperature if isinstance(asked.temperature, list) else [asked.temperature]
    options = InferenceOptions(
        language=language(asked.language, "parameters.generate_kwargs.language"),
        task=asked.task,
        beams=asked.num_beams,
        temperature=ladder[0] if ladder else 0.0,
        timestamps=Timestamps.WORD if parameters.return_timestamps == "word" else Timestamps.SEGMENT,
    )
    names = {"beams": "num_beams", "temperature": "temperature"}
    return checked(options, {ours: f"parameters.generate_kwargs.{name}" for ours, name in names.items()})


def _answer(timestamps: bool | str, result: InferenceResult) -> web.Response:
    """`chunks` are words where the model can time them."""
    body: dict[str, object] = {"text": result.text}
    if timestamps == "word" and result.words is not None:
        body["chunks"] = _chunks((word, word.word) for word in result.words)
    elif timestamps:
        body["chunks"] = _chunks((segment, segment.text) for segment in result.segments)
    return json_answer(body)


def _chunks(timed: Iterable[tuple[Segment | Word, str]]) -> list[dict[str, object]]:
    return [{"timestamp": (each.start, each.end), "text": text} for each, text in timed]
