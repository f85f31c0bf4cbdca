"""What the replaced application sent: samples as an npy array, or as JSON with hotwords; plain text back."""

import io
import tokenize

import msgspec
import numpy as np
from aiohttp import web

from endpoint.answers import text_answer
from endpoint.audio import Samples, checked
from endpoint.errors import BadInput
from endpoint.fields import strict
from endpoint.invocation import Chunk, Invocation
from endpoint.options import checked as checked_options
from services.contracts.hotwords import HotwordMethod, Hotwords
from services.contracts.inference import AUDIO_PART, InferenceOptions, InferenceResult

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
UNREADABLE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
)
"""What NumPy's reader of headers, a parser of Python literals, raises for those that are none."""
SAMPLE_TYPES = ("float16", "float32")
PICKLED = (
    "the npy array holds Python objects, and pickles are never opened here: "
    'send hotwords as JSON {"audio": [...], "logit_bias": {"word": 1.5}}'
)


class _Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    audio: list[float]
    initial_prompt: str = ""
    logit_bias: dict[str, float] = {}


def of_npy(body: bytes) -> Invocation:
    """An npy array of samples at 16 kHz. Raises `BadInput`."""
    return Invocation(Chunk(checked(_array(body)), InferenceOptions()), _answer)


def of_json(body: bytes) -> Invocation:
    """`{"audio": [...], "initial_prompt"?, "logit_bias"?}`. Raises `BadInput`."""
    request = strict(body, _Samples, "the body")
    options = InferenceOptions(prompt=request.initial_prompt, hotwords=_hotwords(request.logit_bias))
    called = {
        "prompt": "initial_prompt",
        "hotwords.words": "logit_bias",
        "hotwords.boost_factor": "logit_bias",
    }
    samples = checked(np.array(request.audio, np.float32))
    return Invocation(Chunk(samples, checked_options(options, called)), _answer)


def _answer(result: InferenceResult) -> web.Response:
    return text_answer(result.text)


def _array(body: bytes) -> Samples:
    """Samples of a one-dimensional float array; the header alone decides whether its data is looked at."""
    file = io.BytesIO(body)
    try:
        shape, _, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except UNREADABLE as error:
        raise BadInput(f"the body is no npy array of version 1 or 2: {error}", AUDIO_PART) from error
    if dtype.hasobject:
        raise BadInput(PICKLED, AUDIO_PART)
    if dtype.newbyteorder("=").name not in SAMPLE_TYPES or len(shape) != 1:
        raise BadInput(
            f"the npy array is {dtype.name} of shape {shape}: "
            f"send one dimension of {' or '.join(SAMPLE_TYPES)}",
            AUDIO_PART,
        )
    data = body[file.tell() :]
    if len(data) != shape[0] * dtype.itemsize:
        raise BadInput(
            f"the npy array has {len(data)} bytes of data, its header says {shape[0] * dtype.itemsize}",
            AUDIO_PART,
        )
    return np.frombuffer(data, dtype).astype(np.float32)


def _hotwords(bias: dict[str, float]) -> Hotwords | None:
    if not bias:
        return None
    boosts = set(bias.values())
    if len(boosts) > 1:
        raise BadInput(
            f"logit_bias holds {len(boosts)} different boosts: one holds for all words here", "logit_bias"
        )
    return Hotwords(
        method=HotwordMethod.LOGIT_BIAS,
        words=tuple(bias),
        boost_factor=boosts.pop(),
    )
