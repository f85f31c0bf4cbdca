"""OpenAI's routes: a recording in, its text in the answer."""

from services.contracts.inference import Timestamps
from services.gateway import errors
from services.gateway.openai.errors import BadRecording, NotTranscribed, OpenAIErrorBody
from services.gateway.openai.fields import PASSED, Format
from services.gateway.openai.shapes import (
    DiarizedSegment,
    DiarizedTranscription,
    Model,
    Models,
    TextDelta,
    TextDone,
    Transcription,
    VerboseTranscription,
)
from services.gateway.openapi import jobs
from services.gateway.openapi.operation import (
    STRING,
    TEXT,
    Answer,
    Content,
    Operation,
    Parameter,
    Raw,
    answer,
)
from services.gateway.openapi.shapes import PLACE

TAG = "OpenAI"
STRINGS = {"type": "array", "items": {"type": "string"}}
FORM = Raw(
    {
        "type": "object",
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            "model": {
                "type": "string",
                "minLength": 1,
                "description": "Any name: the endpoint's model answers.",
            },
            "language": {"type": "string"},
            "languages[]": STRINGS,
            "keywords[]": {**STRINGS, "description": "Hotwords."},
            "hotwords": {"type": "string", "description": "Hotwords as text, separated by commas or lines."},
            "response_format": {"enum": [*Format], "default": Format.JSON},
            "timestamp_granularities[]": {"type": "array", "items": {"enum": [*Timestamps]}},
            "stream": {"type": "boolean", "default": False},
            **{name: schema for name, schema in jobs.OPTIONS.items() if name in PASSED},
        },
        "required": ["file", "model"],
    }
)
EVENTS = (
    "With `stream=true`, server-sent events whose data are `TextDelta`, with `diarized_json` also "
    "`DiarizedSegment`, and last `TextDone`; the deltas add up to its text. Where it fails after that began, "
    "`OpenAIErrorBody`."
)
FORMATS = (Transcription, VerboseTranscription, DiarizedTranscription)
ANSWERS = (
    Answer(
        text="The text, in the format asked for.",
        content=(
            Content(shape=Raw({"anyOf": [{"$ref": PLACE.format(name=kind.__name__)} for kind in FORMATS]})),
            Content(shape=STRING, media=TEXT),
            Content(shape=STRING, media="text/vtt"),
            Content(shape=STRING, media="text/event-stream"),
        ),
    ),
)
REFUSALS = (
    *next(one for one in jobs.OPERATIONS if one.key == ("POST", "/v1/jobs")).errors,
    BadRecording,
    NotTranscribed,
    errors.JobCancelled,
)


def _audio(path: str, summary: str) -> Operation:
    return Operation(
        method="POST",
        path=path,
        tag=TAG,
        summary=summary,
        text=EVENTS,
        parameters=(jobs.KEY,),
        body=(Content(shape=FORM, media="multipart/form-data"),),
        answers=ANSWERS,
        errors=REFUSALS,
        events=(*FORMATS, TextDelta, DiarizedSegment, TextDone),
        refusal=OpenAIErrorBody,
    )


OPERATIONS = (
    _audio("/v1/audio/transcriptions", "Text in the language spoken"),
    _audio("/v1/audio/translations", "Text in English"),
    Operation(
        method="GET",
        path="/v1/models",
        tag=TAG,
        summary="The names that may stand in `model`",
        answers=(answer(Models, "All of them."),),
        refusal=OpenAIErrorBody,
    ),
    Operation(
        method="GET",
        path="/v1/models/{model}",
        tag=TAG,
        summary="One of these names",
        parameters=(Parameter(name="model", where="path", text="The name.", required=True),),
        answers=(answer(Model, "It may."),),
        errors=(errors.NotFound,),
        refusal=OpenAIErrorBody,
    ),
)
