"""What one route takes and answers, as data; the shapes are the types that the handlers encode and decode."""

from collections.abc import Mapping

import msgspec

from services.gateway.errors import HttpError

JSON = "application/json"
TEXT = "text/plain"

Schema = Mapping[str, object]
Shape = object
"""A type as `msgspec` knows it, or a `Raw` schema where the bytes are no JSON of ours."""


class Raw(msgspec.Struct, frozen=True):
    """A JSON Schema that no type of ours stands for."""

    schema: Schema


BYTES = Raw({})
"""Anything: OpenAPI 3.1 says so of binary bodies by an empty schema."""
STRING = Raw({"type": "string"})


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A value in the address or among the headers."""

    name: str
    text: str
    where: str = "query"
    schema: Schema = msgspec.field(default_factory=lambda: {"type": "string"})
    required: bool = False


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A body of one media type."""

    shape: Shape
    media: str = JSON
    example: object = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a request can go well."""

    text: str
    content: tuple[Content, ...] = ()
    status: int = 200


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one route."""

    method: str
    path: str
    tag: str
    summary: str
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: tuple[Content, ...] = ()
    body_required: bool = True
    answers: tuple[Answer, ...]
    errors: tuple[type[HttpError], ...] = ()
    """Besides those of every route."""
    events: tuple[type, ...] = ()
    """Shapes of the data of server-sent events, which OpenAPI has no place for but among the schemas; and
    those that one `Raw` of several refers to."""
    refusal: type | None = None
    """The body of a refusal, where it is not ours."""
    replaced: bool = False
    """A route of the replaced application: refusals are a bare sentence, and a 302 instead of 401."""

    @property
    def key(self) -> tuple[str, str]:
        """What no other operation has."""
        return self.method, self.path

    @property
    def name(self) -> str:
        """An identifier for generated clients: `get_v1_jobs_id_events`."""
        words = "".join(character if character.isalnum() else " " for character in self.path).split()
        return "_".join((self.method.lower(), *words))


def answer(shape: Shape, text: str, *, status: int = 200, example: object = None) -> Answer:
    """An answer in JSON."""
    return Answer(status=status, text=text, content=(Content(shape=shape, example=example),))


def path_id(text: str) -> Parameter:
    """The `id` that stands in the address."""
    return Parameter(name="id", where="path", text=text, required=True)
