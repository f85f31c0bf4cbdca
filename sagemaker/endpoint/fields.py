"""Fields of requests in JSON, read strictly: an unknown or unusable one is refused by its name."""

import re
from typing import TypeVar

import msgspec

from endpoint.errors import BadInput
from services.contracts.languages import code_of

S = TypeVar("S")

UNKNOWN = re.compile(r"unknown field `([^`]*)`(?: - at `\$\.([^`]*)`)?")
PLACE = re.compile(r"`\$\.([\w.]+)")


def strict(raw: bytes, shape: type[S], whole: str) -> S:
    """`raw` as `shape`; `whole` names the JSON itself in errors. Raises `BadInput`."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        field = _field(str(error)) or whole
        raise BadInput(f"{field} is not usable: {error}", field) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{whole} cannot be read as JSON: {error}", whole) from error


def language(text: str | None, field: str = "language") -> str | None:
    """The code of a language given by code or name; nothing lets the model detect it. Raises `BadInput`."""
    if not text:
        return None
    code = code_of(text)
    if code is None:
        raise BadInput(
            f"unknown language {text[:80]!r}: use a code such as zh or a name such as chinese", field
        )
    return code


def _field(message: str) -> str | None:
    """`hotwords.words` from msgspec's "... - at `$.hotwords.words[0]`", and the name of an unknown field."""
    if unknown := UNKNOWN.search(message):
        name, place = unknown.groups()
        return f"{place}.{name}" if place else name
    found = PLACE.search(message)
    return found[1] if found else None
