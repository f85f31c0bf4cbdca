"""From an HTTP request to an invocation: the content type and the fields tell whose contract it follows."""

import asyncio
import re
from collections.abc import Callable
from functools import partial

import msgspec
from aiohttp import web

from endpoint import bodies
from endpoint.errors import BadInput, UnknownType
from endpoint.fields import strict
from endpoint.formats import huggingface, jumpstart, native, openai, replaced
from endpoint.invocation import Chunk, Invocation
from services.contracts.inference import AUDIO_PART
from services.contracts.traces import ATTRIBUTES_HEADER

__all__ = ["Chunk", "Invocation", "read"]

JSON_CONTRACTS: dict[str, Callable[[bytes], Invocation]] = {
    "audio_input": jumpstart.of_json,
    "inputs": huggingface.of_json,
    "audio": replaced.of_json,
}
"""By the field that only this contract has."""
ACCEPT = ("Accept", "X-Amzn-SageMaker-Accept")
"""The second is InvokeEndpointWithResponseStream's."""
LINES = ("application/jsonlines", "application/jsonl", "application/x-ndjson")
TRANSLATIONS = re.compile(r"\broute=/v1/audio/translations\b")
"""How AWS's vLLM container is told its route: aws/deep-learning-containers, sagemaker_serve.py."""


async def read(request: web.Request) -> Invocation:
    """Read and check a whole request. Raises `Refused`."""
    understood = await _received(request)
    invocation = await asyncio.to_thread(understood)
    return msgspec.structs.replace(invocation, streams=_streams(request))


async def _received(request: web.Request) -> Callable[[], Invocation]:
    """The body, and what makes an invocation of it: that computes, so it is for a thread."""
    kind = request.content_type
    if kind == "multipart/form-data":
        return partial(_of_form, await bodies.form(request), _translates(request))
    if kind == "application/json":
        return partial(_of_json, await bodies.whole(request))
    if kind == "application/x-npy":
        return partial(replaced.of_npy, await bodies.whole(request))
    if kind.startswith("audio/"):
        return partial(native.of_audio, await bodies.whole(request))
    raise UnknownType(
        f"{kind} is not read here: send multipart/form-data, audio/*, application/json or application/x-npy"
    )


def _of_form(form: bodies.Form, translates: bool) -> Invocation:
    if AUDIO_PART in form:
        return native.of_form(form)
    if openai.FILE_PART in form:
        return openai.of_form(form, translates=translates)
    raise BadInput("the part `audio` is missing: send a FLAC or WAV file in it", AUDIO_PART)


def _of_json(body: bytes) -> Invocation:
    fields = strict(body, dict[str, msgspec.Raw], "the body")
    for name, of_json in JSON_CONTRACTS.items():
        if name in fields:
            return of_json(body)
    raise BadInput(f"the JSON holds no audio: send it as {', '.join(JSON_CONTRACTS)}", AUDIO_PART)


def _streams(request: web.Request) -> bool:
    accepted = ", ".join(request.headers.get(name, "") for name in ACCEPT).lower()
    return any(kind in accepted for kind in LINES)


def _translates(request: web.Request) -> bool:
    return bool(TRANSLATIONS.search(request.headers.get(ATTRIBUTES_HEADER, "")))
