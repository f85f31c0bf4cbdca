"""Cursors of lists: where a page begins, in a form that clients hand back as they got it."""

import base64
import binascii
from typing import TypeVar

import msgspec

from services.gateway.errors import InvalidRequest

P = TypeVar("P", bound=msgspec.Struct)


def encoded(place: msgspec.Struct) -> str:
    """The cursor of a place in a list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def decoded(cursor: str, of: type[P]) -> P:
    """The place that the cursor stands for; raises `InvalidRequest`."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=of)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError, RecursionError):
        raise InvalidRequest("after is no cursor that this API gave out", field="after") from None
