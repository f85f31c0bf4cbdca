"""The whole document: operations, with the errors that every route can answer, and the named schemas."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.gateway.access import Access
from services.gateway.errors import (
    Forbidden,
    HttpError,
    InsufficientScope,
    InvalidRequest,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from services.gateway.openapi.operation import JSON, Answer, Content, Operation, Parameter, Shape
from services.gateway.openapi.shapes import schemas

TITLE = "Whisper Web UI"
TEXT = (
    "Recordings of any length to text. Send `Authorization: Bearer TOKEN`, with the access token of a login "
    "or with a personal access token. Times are seconds, sizes bytes, dates ISO 8601 in UTC."
)
EVERYWHERE: tuple[type[HttpError], ...] = (InvalidRequest, UnsupportedMediaType, Unavailable)
"""Any request can be malformed, packed, or meet a broker that is away."""
WHO: dict[Access, tuple[type[HttpError], ...]] = {
    Access.OPEN: (),
    Access.KNOWN: (Unauthorized,),
    Access.READ: (Unauthorized, InsufficientScope),
    Access.TRANSCRIBE: (Unauthorized, InsufficientScope),
    Access.SESSION: (Unauthorized, Forbidden),
    Access.ADMIN: (Unauthorized, Forbidden),
}
"""What somebody is told for whom a route is not."""
NEEDS = {
    Access.READ: "A personal access token needs the scope `read`.",
    Access.TRANSCRIBE: "A personal access token needs the scope `transcribe`.",
    Access.SESSION: "For logins only, not for personal access tokens.",
    Access.ADMIN: "For logins of users with the role `admin`.",
}
WAITING = ("429", "503", "409")
"""Statuses whose answer may say when to try again."""

RETRY_AFTER = {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}}


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused."""

    code: str
    """For programs."""
    message: str
    """What was wrong, with which value, and what to do."""
    field: str | msgspec.UnsetType = msgspec.UNSET
    """The one field at fault, where it is one."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal."""

    error: ErrorDetail


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a refusal by a route of the replaced application."""

    error: str


TO_LOGIN = Answer(status=302, text="Nobody is logged in: to the login form.")


Key = tuple[str, str]
"""Method and path."""


def document(operations: Sequence[Operation], access: Mapping[Key, Access], version: str) -> dict[str, Any]:
    """The API as OpenAPI 3.1; `access` says whom each route is for."""
    shapes, named = schemas([ErrorBody, Sentence, *_shapes(operations)])
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, access[operation.key], shapes
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version, "description": TEXT},
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": named,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "whisper_session",
                    "description": "Browsers' sessions; named __Host-whisper_session over HTTPS.",
                },
            },
        },
    }


def _shapes(operations: Iterable[Operation]) -> list[Shape]:
    return [
        *(
            content.shape
            for operation in operations
            for contents in (operation.body, *(answer.content for answer in operation.answers))
            for content in contents
        ),
        *(shape for operation in operations for shape in operation.events),
        *(operation.refusal for operation in operations if operation.refusal),
    ]


def _operation(operation: Operation, access: Access, shapes: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if sentences := [text for text in (operation.text, NEEDS.get(access)) if text]:
        told["description"] = "\n\n".join(sentences)
    if access is Access.OPEN:
        told["security"] = []
    if operation.parameters:
        told["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        told["requestBody"] = {
            "required": operation.body_required,
            "content": _contents(operation.body, shapes),
        }
    sent_away = operation.replaced and access is not Access.OPEN
    answers = (*operation.answers, TO_LOGIN) if sent_away else operation.answers
    told["responses"] = {
        **{str(answer.status): _answer(answer, shapes) for answer in answers},
        **_errors(operation, access, shapes),
    }
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.text,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _answer(answer: Answer, shapes: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.text}
    if answer.content:
        told["content"] = _contents(answer.content, shapes)
    return told


def _contents(contents: Iterable[Content], shapes: dict[str, Any]) -> dict[str, Any]:
    return {
        content.media: {
            "schema": shapes[repr(content.shape)],
            **({} if content.example is None else {"example": msgspec.to_builtins(content.example)}),
        }
        for content in contents
    }


def _errors(operation: Operation, access: Access, shapes: dict[str, Any]) -> dict[str, Any]:
    """Refusals by status, each with the codes that it can have."""
    refusals: dict[str, list[type[HttpError]]] = {}
    who = [error for error in WHO[access] if not (operation.replaced and error is Unauthorized)]
    body = _refusal(operation, access, shapes)
    for error in dict.fromkeys((*operation.errors, *who, *EVERYWHERE)):
        refusals.setdefault(str(error.status), []).append(error)
    return {
        status: {
            "description": " ".join(_sentence(error) for error in errors),
            **({"headers": {"Retry-After": RETRY_AFTER}} if status in WAITING else {}),
            "content": {JSON: {"schema": body}},
        }
        for status, errors in sorted(refusals.items())
    }


def _refusal(operation: Operation, access: Access, shapes: dict[str, Any]) -> dict[str, Any]:
    ours, sentence = shapes[repr(ErrorBody)], shapes[repr(Sentence)]
    if operation.refusal:
        return dict(shapes[repr(operation.refusal)])
    if not operation.replaced:
        return dict(ours)
    if access is Access.OPEN:  # a login is a part of both APIs
        return {"anyOf": [ours, sentence]}
    return dict(sentence)


def _sentence(error: type[HttpError]) -> str:
    return f"`{error.code}`: {(error.__doc__ or '').strip()}"
