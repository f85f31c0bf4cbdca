"""Jobs: upload, list, follow, read, retry, cancel and delete."""

from services.contracts.channels import Channels
from services.contracts.hotwords import HotwordMethod
from services.contracts.inference import Task, Timestamps
from services.contracts.messages import Priority
from services.gateway import errors
from services.gateway.answers import Job, JobPage, WholeTranscript
from services.gateway.event_views import Cut, End, Failed, Text
from services.gateway.job_routes import DEFAULT_LIMIT, MAX_LIMIT
from services.gateway.openapi.operation import (
    BYTES,
    STRING,
    Answer,
    Content,
    Operation,
    Parameter,
    Raw,
    answer,
    path_id,
)
from services.gateway.transcript import Format

TAG = "Jobs"
ID = path_id("The job's `id`.")
KEY = Parameter(
    name="Idempotency-Key",
    where="header",
    text="Makes a repeat safe: the same key gives the same job.",
    schema={"type": "string", "format": "uuid"},
)
OPTIONS: dict[str, dict[str, object]] = {
    "name": {"type": "string", "description": "Shown in lists; by default the file's name."},
    "language": {
        "type": "string",
        "default": "auto",
        "description": "ISO 639-1, such as `en` or `zh`, or `auto`.",
    },
    "languages": {
        "type": "string",
        "description": "Languages that may be detected, separated by commas; not together with `language`.",
    },
    "prompt": {"type": "string", "description": "Text that is taken to precede each chunk."},
    "task": {"enum": [*Task], "default": Task.TRANSCRIBE, "description": "`translate` is to English."},
    "hotwords": {
        "type": "string",
        "description": "JSON list of words, or words separated by commas or new lines; by default those "
        "of the list.",
    },
    "hotword_list": {
        "type": "string",
        "default": "default",
        "description": "Name of a stored list; not together with `hotwords`.",
    },
    "hotword_method": {"enum": [*HotwordMethod], "description": "By default the list's."},
    "boost_factor": {
        "type": "number",
        "minimum": 0,
        "maximum": 5,
        "description": "Nats per token, for `logit_bias`.",
    },
    "timestamps": {"enum": [*Timestamps], "default": Timestamps.SEGMENT},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    "skip_silence": {"type": "boolean", "default": True},
    "priority": {
        "enum": [*Priority],
        "default": Priority.NORMAL,
        "description": "`low` is for bulk work: it takes what is idle.",
    },
    "callback_url": {"type": "string", "description": "Who is told when the job has ended: a webhook."},
    "channels": {
        "enum": [*Channels],
        "default": Channels.MIX,
        "description": "`split` transcribes each channel on its own, up to 8, and tells which one spoke.",
    },
}
"""Of an upload, in the order of the form."""
FORM = Raw(
    {
        "type": "object",
        "properties": {**OPTIONS, "file": {"type": "string", "contentMediaType": "application/octet-stream"}},
        "required": ["file"],
        "additionalProperties": False,
    }
)
QUERY = tuple(
    Parameter(name=name, schema=schema, text=str(schema.get("description", "As in the form.")))
    for name, schema in OPTIONS.items()
)
EVENTS = (
    "Each event stands as `event:`, `id:` and `data:` lines; the data are JSON:\n\n"
    "`job` (`Job`): the job with its progress, first, and whenever its state changes; it has no id.\n"
    "`cut` (`Cut`): the plan of one chunk.\n"
    "`text` (`Text`): the text of one chunk. Chunks may come out of order: place them by `chunk`.\n"
    "`gap` (`Failed`): no text for this stretch, and why.\n"
    "`end` (`End`): the last event.\n\n"
    "A comment line comes at least every 10 s. Reconnect with `Last-Event-ID`, at any gateway."
)

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/jobs",
        tag=TAG,
        summary="Upload a recording",
        text="A form, or the recording itself as the body with the options in the address. In a form put "
        "the fields before the file: then transcription starts with the first bytes.",
        parameters=(KEY, *QUERY),
        body=(
            Content(shape=FORM, media="multipart/form-data"),
            Content(shape=BYTES, media="audio/*"),
            Content(shape=BYTES, media="video/*"),
            Content(shape=BYTES, media="application/octet-stream"),
        ),
        answers=(
            answer(Job, "The recording is stored; this is its job.", status=201),
            answer(Job, "It was stored before, under this key."),
        ),
        errors=(
            errors.InvalidOption,
            errors.BadHotwords,
            errors.EmptyFile,
            errors.WrongOrigin,
            errors.NotFound,
            errors.UploadTooSlow,
            errors.UploadInterrupted,
            errors.UploadInProgress,
            errors.DifferentContent,
            errors.TooLarge,
            errors.TooManyUploads,
            errors.OverLimit,
        ),
    ),
    Operation(
        method="GET",
        path="/v1/jobs",
        tag=TAG,
        summary="The user's jobs, newest first",
        parameters=(
            Parameter(
                name="limit",
                text="Jobs a page.",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            ),
            Parameter(name="after", text="The `next` of the page before."),
            Parameter(
                name="idempotency_key",
                text="Only the job of this key: how an uploading client finds it.",
                schema={"type": "string", "format": "uuid"},
            ),
        ),
        answers=(answer(JobPage, "One page."),),
    ),
    Operation(
        method="GET",
        path="/v1/jobs/{id}",
        tag=TAG,
        summary="One job with its progress",
        parameters=(ID,),
        answers=(answer(Job, "The job."),),
        errors=(errors.NotFound,),
    ),
    Operation(
        method="DELETE",
        path="/v1/jobs/{id}",
        tag=TAG,
        summary="Cancel a job and erase everything about it",
        parameters=(ID,),
        answers=(Answer(status=204, text="It is gone."),),
        errors=(errors.NotFound, errors.WrongOrigin),
    ),
    Operation(
        method="POST",
        path="/v1/jobs/{id}/retry",
        tag=TAG,
        summary="Try the gaps of a job again",
        text="What has its text is not sent again. Asking again while that goes on changes nothing.",
        parameters=(ID,),
        answers=(answer(Job, "The job, running again.", status=202),),
        errors=(
            errors.NotFound,
            errors.JobRunning,
            errors.JobCancelled,
            errors.UploadInProgress,
            errors.NoGaps,
            errors.AudioExpired,
            errors.WrongOrigin,
        ),
    ),
    Operation(
        method="POST",
        path="/v1/jobs/{id}/cancel",
        tag=TAG,
        summary="Cancel a job and keep its text",
        text="It ends as `cancelled`; what was transcribed until then stays. Asking again changes nothing.",
        parameters=(ID,),
        answers=(answer(Job, "The job, cancelled.", status=202),),
        errors=(errors.NotFound, errors.JobOver, errors.WrongOrigin),
    ),
    Operation(
        method="GET",
        path="/v1/jobs/{id}/events",
        tag=TAG,
        summary="Follow a job",
        text=EVENTS,
        events=(Cut, Text, Failed, End),
        parameters=(
            ID,
            Parameter(
                name="Last-Event-ID",
                where="header",
                text="Go on after this event.",
                schema={"type": "integer", "minimum": 0},
            ),
            Parameter(
                name="after",
                text="The same, for clients that cannot send the header.",
                schema={"type": "integer", "minimum": 0},
            ),
        ),
        answers=(
            Answer(text="Server-sent events.", content=(Content(shape=STRING, media="text/event-stream"),)),
            Answer(status=204, text="The job ended before this event; nothing follows."),
        ),
        errors=(errors.NotFound, errors.TooManyUploads),
    ),
    Operation(
        method="GET",
        path="/v1/jobs/{id}/transcript",
        tag=TAG,
        summary="The words so far",
        parameters=(
            ID,
            Parameter(
                name="format", text="How to write them.", schema={"enum": [*Format], "default": "json"}
            ),
            Parameter(name="download", text="`1` adds a file name to the answer.", schema={"type": "string"}),
        ),
        answers=(
            Answer(
                text="The transcript.",
                content=(
                    Content(shape=WholeTranscript),
                    Content(shape=STRING, media="text/plain"),
                    Content(shape=STRING, media="application/x-subrip"),
                    Content(shape=STRING, media="text/vtt"),
                ),
            ),
        ),
        errors=(errors.NotFound,),
    ),
)
