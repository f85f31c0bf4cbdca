"""The routes of the replaced application, for scripts with its cookie session."""

import msgspec

from services.gateway import errors
from services.gateway.openapi.operation import (
    STRING,
    Answer,
    Content,
    Operation,
    Raw,
    answer,
)

TAG = "Replaced application"
FORM = Raw(
    {
        "type": "object",
        "properties": {
            "audio_file": {"type": "string", "contentMediaType": "application/octet-stream"},
            "hotwords": {"type": "string"},
            "hotword_method": {"type": "string"},
        },
        "required": ["audio_file"],
    }
)
UPLOAD_ERRORS = (
    errors.BadHotwords,
    errors.EmptyFile,
    errors.WrongOrigin,
    errors.UploadTooSlow,
    errors.UploadInProgress,
    errors.TooLarge,
    errors.OverLimit,
)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The recording is stored."""

    success: bool
    job_id: str


class Transcribed(msgspec.Struct, frozen=True, kw_only=True):
    """The whole text."""

    success: bool
    transcript: str


OPERATIONS = (
    Operation(
        method="POST",
        path="/transcribe",
        tag=TAG,
        summary="Upload a recording",
        text="Other fields are ignored. Whoever accepts HTML gets the page.",
        body=(Content(shape=FORM, media="multipart/form-data"),),
        answers=(answer(Taken, "It is stored; follow it with `/stream`."),),
        errors=UPLOAD_ERRORS,
        replaced=True,
    ),
    Operation(
        method="GET",
        path="/stream",
        tag=TAG,
        summary="Follow the session's latest upload",
        answers=(
            Answer(
                text="Events without names: `init`, `progress`, `complete`, `error` in `type`.",
                content=(Content(shape=STRING, media="text/event-stream"),),
            ),
        ),
        replaced=True,
    ),
    Operation(
        method="POST",
        path="/api/transcribe",
        tag=TAG,
        summary="Upload a recording and wait for its text",
        body=(Content(shape=FORM, media="multipart/form-data"),),
        answers=(answer(Transcribed, "The text."),),
        errors=UPLOAD_ERRORS,
        replaced=True,
    ),
)
