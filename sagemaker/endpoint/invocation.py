"""One request as the container works on it, whatever contract it came under."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from endpoint.audio import Samples
from services.contracts.inference import InferenceOptions, InferenceResult

Answer = Callable[[InferenceResult], web.Response]


class Chunk(msgspec.Struct, frozen=True):
    """What is to be transcribed."""

    audio: Samples
    options: InferenceOptions


class Invocation(msgspec.Struct, frozen=True):
    """A chunk, and how its client wants to hear of it."""

    chunk: Chunk
    answer: Answer
    """The response for a transcript, in the shape of the request's contract."""
    streams: bool = False
    """Whether the client asked for JSON lines instead, as segments complete."""
