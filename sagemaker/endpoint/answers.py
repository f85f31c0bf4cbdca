"""Bodies of answers in the content types that clients read."""

import msgspec
from aiohttp import web


def json_answer(body: object, *, status: int = 200) -> web.Response:
    """JSON of anything msgspec encodes."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def text_answer(text: str, content_type: str = "text/plain") -> web.Response:
    """UTF-8 text."""
    return web.Response(text=text, content_type=content_type, charset="utf-8")
