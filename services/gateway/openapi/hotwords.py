"""The stored hotword lists."""

from services.contracts.hotwords import HotwordMethod, Hotwords
from services.gateway.answers import Job
from services.gateway.errors import (
    BadHotwords,
    Forbidden,
    InvalidOption,
    JobOver,
    NotFound,
    OverLimit,
    TooLarge,
    UnsupportedMediaType,
    UploadTooSlow,
    VersionConflict,
    WrongOrigin,
)
from services.gateway.hotword_routes import Export, ListHead, Lists, Saved, WholeList
from services.gateway.openapi.operation import (
    JSON,
    STRING,
    Answer,
    Content,
    Operation,
    Parameter,
    Raw,
    answer,
    path_id,
)

TAG = "Hotwords"
EXAMPLE = Hotwords(method=HotwordMethod.LOGIT_BIAS, words=("Siobhan", "Lynx"), boost_factor=3.0)
HOW: dict[str, dict[str, object]] = {
    "method": {"enum": [*HotwordMethod]},
    "boost_factor": {"type": "number", "minimum": 0, "maximum": 5},
}
WORDS = {"type": "array", "items": {"type": "string"}, "maxItems": 5000}
WORDING = Raw({"type": "object", "properties": {"words": WORDS, **HOW}, "required": ["words"]})
NAME = Parameter(
    name="name",
    where="path",
    text="The list's name: 1 to 64 of a-z, 0-9, _ and -, a letter or digit first.",
    schema={"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
    required=True,
)
SHARED = Parameter(
    name="shared",
    text="The list that everybody sees, and administrators change, instead of one's own.",
    schema={"type": "boolean", "default": False},
)
IF_MATCH = Parameter(
    name="If-Match", where="header", text='The version to overwrite, in quotes as the `ETag` has it: `"3"`.'
)
IF_NONE_MATCH = Parameter(name="If-None-Match", where="header", text="`*` makes a list only where none is.")
HEAD = ListHead(
    name="team",
    shared=False,
    version=3,
    words=2,
    method=EXAMPLE.method,
    boost_factor=EXAMPLE.boost_factor,
    updated_at="2026-01-31T09:00:00Z",
)
WHOLE = WholeList(
    name="team",
    shared=False,
    version=3,
    method=EXAMPLE.method,
    boost_factor=EXAMPLE.boost_factor,
    words=EXAMPLE.words,
    updated_at="2026-01-31T09:00:00Z",
)

REWORDING = Raw(
    {
        "oneOf": [
            {
                "type": "object",
                "properties": {"list": {"type": "string"}},
                "required": ["list"],
                "additionalProperties": False,
            },
            {**WORDING.schema, "additionalProperties": False},
        ]
    }
)

OPERATIONS = (
    Operation(
        method="PUT",
        path="/v1/jobs/{id}/hotwords",
        tag=TAG,
        summary="Other hotwords for the chunks of a job that are still to come",
        text="A list, as it is now, or words; an empty list of words switches hotwords off.",
        parameters=(path_id("The job's `id`."),),
        body=(Content(shape=REWORDING, example={"list": "team"}),),
        answers=(answer(Job, "The job with its new hotwords.", status=202),),
        errors=(
            InvalidOption,
            BadHotwords,
            WrongOrigin,
            NotFound,
            UploadTooSlow,
            JobOver,
            TooLarge,
        ),
    ),
    Operation(
        method="GET",
        path="/v1/hotwords",
        tag=TAG,
        summary="The lists that the user can name",
        answers=(answer(Lists, "One's own first, then the shared ones.", example=Lists(lists=[HEAD])),),
    ),
    Operation(
        method="GET",
        path="/v1/hotwords/{name}",
        tag=TAG,
        summary="One list",
        text="One's own, else the shared one of that name.",
        parameters=(
            NAME,
            SHARED,
            Parameter(name="format", text="As what.", schema={"enum": [*Export], "default": Export.JSON}),
            Parameter(
                name="version",
                text="An older version; the newest 10 are kept.",
                schema={"type": "integer", "minimum": 0},
            ),
        ),
        answers=(
            Answer(
                text="The list.",
                content=(
                    Content(shape=WholeList, example=WHOLE),
                    Content(shape=STRING, media="text/plain"),
                    Content(shape=STRING, media="text/csv"),
                ),
            ),
        ),
        errors=(NotFound,),
    ),
    Operation(
        method="PUT",
        path="/v1/hotwords/{name}",
        tag=TAG,
        summary="Make a list, or write its next version",
        text="Text has a word a line; of a CSV the first column counts. What is left out stays as it is.",
        parameters=(
            NAME,
            SHARED,
            IF_MATCH,
            IF_NONE_MATCH,
            *(Parameter(name=name, text="Beside a file.", schema=schema) for name, schema in HOW.items()),
        ),
        body=(
            Content(shape=WORDING, media=JSON, example=EXAMPLE),
            Content(shape=STRING, media="text/plain"),
            Content(shape=STRING, media="text/csv"),
        ),
        answers=(
            answer(
                ListHead, "The list's new version, or the one it is at where nothing changed.", example=HEAD
            ),
            answer(ListHead, "The list is new.", status=201, example=HEAD),
        ),
        errors=(
            BadHotwords,
            WrongOrigin,
            Forbidden,
            UploadTooSlow,
            VersionConflict,
            TooLarge,
            UnsupportedMediaType,
            OverLimit,
        ),
    ),
    Operation(
        method="DELETE",
        path="/v1/hotwords/{name}",
        tag=TAG,
        summary="Erase a list and its versions",
        parameters=(NAME, SHARED, IF_MATCH),
        answers=(Answer(text="It is gone.", status=204),),
        errors=(WrongOrigin, Forbidden, NotFound, VersionConflict),
    ),
    Operation(
        method="GET",
        path="/api/hotwords",
        tag=TAG,
        summary="The user's default list",
        answers=(answer(Hotwords, "The list, or the defaults.", example=EXAMPLE),),
        replaced=True,
    ),
    Operation(
        method="POST",
        path="/api/hotwords",
        tag=TAG,
        summary="Replace the user's default list",
        text="Up to 5,000 words of 1 to 64 characters, for later uploads that bring none of their own.",
        body=(Content(shape=Hotwords, example=EXAMPLE),),
        answers=(answer(Saved, "The list as it is stored.", example=Saved(config=EXAMPLE)),),
        errors=(BadHotwords, TooLarge, UploadTooSlow, WrongOrigin, OverLimit),
        replaced=True,
    ),
)
