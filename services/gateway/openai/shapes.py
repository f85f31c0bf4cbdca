"""Answers as OpenAI's API has them; times are seconds from the start of the recording."""

from typing import Literal

import msgspec

from services.contracts.channels import Channel
from services.contracts.inference import Task, Word
from services.gateway.transcript import Gap


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the request cost: seconds of audio, begun ones counted whole."""

    type: Literal["duration"] = "duration"
    seconds: int


class VerboseSegment(msgspec.Struct, frozen=True, kw_only=True):
    """One phrase, with all ten fields that clients expect."""

    id: int
    seek: int
    """Where the chunk begins that it was heard in, in hundredths of a second."""
    start: float
    end: float
    text: str
    tokens: list[int]
    """The endpoint tells none."""
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    channel: Channel = msgspec.UNSET
    """With our option `channels=split`; not OpenAI's."""


class DiarizedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """One phrase, and who says it."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str


class Transcription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`response_format=json`."""

    text: str
    usage: Usage
    gaps: list[Gap] = []
    """Stretches without text, where there are any; `notices` likewise. Neither is OpenAI's."""
    notices: list[str] = []


class VerboseTranscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`response_format=verbose_json`."""

    task: Task
    language: str
    """Its English name."""
    duration: float
    text: str
    usage: Usage
    segments: list[VerboseSegment] | msgspec.UnsetType = msgspec.UNSET
    words: list[Word] | msgspec.UnsetType = msgspec.UNSET
    gaps: list[Gap] = []
    notices: list[str] = []


class DiarizedTranscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`response_format=diarized_json`."""

    task: Task
    duration: float
    text: str
    segments: list[DiarizedSegment]
    usage: Usage
    gaps: list[Gap] = []
    notices: list[str] = []


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.text.delta"):
    """Event: the text goes on with this."""

    delta: str


class TextDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="transcript.text.done"):
    """Event: the text is complete."""

    text: str
    usage: Usage
    language: str
    duration: float
    segments: list[VerboseSegment]
    words: list[Word] | msgspec.UnsetType = msgspec.UNSET
    gaps: list[Gap] | msgspec.UnsetType = msgspec.UNSET
    notices: list[str] | msgspec.UnsetType = msgspec.UNSET


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A name that may stand in `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]
