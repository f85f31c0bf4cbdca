"""Reads server-sent events (WHATWG HTML, section 9.2) from bytes that arrive in any pieces."""

import re

import msgspec

from client.errors import Refused

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Far above the text of one chunk; more without an end is not an event stream."""
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(r"\r?\n")


class RawEvent(msgspec.Struct, frozen=True):
    """One event as the stream gave it; `id` is None where it had none."""

    name: str
    data: str
    id: str | None = None


def parse(rest: bytes, piece: bytes) -> tuple[list[RawEvent], bytes]:
    """The events completed by `piece` after `rest`, and the new rest to hand in next time."""
    *blocks, rest = _BLANK_LINE.split(rest + piece)
    if len(rest) > MAX_EVENT_BYTES:
        raise Refused("the server sent an event without an end", status=200, code="nonsense")
    return [event for block in blocks if (event := _event(block.decode())) is not None], rest


def _event(block: str) -> RawEvent | None:
    """The event of one block of lines; None where it holds comments only."""
    name, data, event_id = "message", [], None
    for line in _LINE_END.split(block):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            event_id = value
    return RawEvent(name, "\n".join(data), event_id) if data else None
