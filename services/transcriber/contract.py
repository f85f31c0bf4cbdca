"""The shapes of requests that an endpoint may follow, and what each of them can carry."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from services.contracts.inference import InferenceOptions, InferenceResult


class Contract(StrEnum):
    """How an endpoint wants to be asked; docs/endpoint.md has an example of each."""

    NATIVE = "native"
    NPY = "npy"
    HUGGINGFACE = "huggingface"
    HUGGINGFACE_JSON = "huggingface_json"
    JUMPSTART = "jumpstart"
    OPENAI = "openai"
    WHISPERX = "whisperx"


class Carried(StrEnum):
    """What a job may ask for that not every contract has a field for."""

    LANGUAGE = "language"
    LANGUAGES = "choice of languages"
    TRANSLATION = "translation"
    WORD_TIMES = "times of words"
    TEMPERATURE = "temperature"
    PROMPT = "prompt_injection"
    """And a prompt of the user's own, which goes the same way."""
    BIAS = "logit_bias"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk to transcribe."""

    flac: bytes
    seconds: float
    options: InferenceOptions
    prompt: str = ""
    """The user's own prompt and hotwords as text, where the contract has a field for it."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What InvokeEndpoint is given."""

    body: bytes
    content_type: str
    accept: str = "application/json"
    attributes: str = ""
    """CustomAttributes: at most 1,024 characters of ASCII."""


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """Speaks one contract."""

    carries: frozenset[Carried]
    names_jobs: bool = False
    """Whether its CustomAttributes may tell job and trace, for its log; others read something else there."""
    call: Callable[[Asked], Call]
    """Pure, but it may compute for some milliseconds."""
    result: Callable[[bytes, Asked], InferenceResult]
    """Raises `msgspec.DecodeError` or `ValueError` for an answer that is none."""
