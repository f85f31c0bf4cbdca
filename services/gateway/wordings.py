"""What a request says of hotwords: words and how they steer, as JSON, as text or as CSV."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from services.contracts.hotwords import DEFAULT_BOOST, HotwordMethod, Hotwords, InvalidHotwords, validated
from services.gateway.bodies import in_time
from services.gateway.errors import BadHotwords, TooLarge, UnsupportedMediaType
from services.gateway.word_files import csv_words, decoded, text_words

MAX_BODY_BYTES = 1024 * 1024
JSON = "application/json"
FILES: dict[str, Callable[[str], list[str]]] = {"text/plain": text_words, "text/csv": csv_words}
FIELDS = ("words", "method", "boost_factor")


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """A list as a request brings it; what it leaves out stays as it is."""

    words: tuple[str, ...]
    method: HotwordMethod | None = None
    boost_factor: float | None = None

    def over(self, old: Hotwords) -> Hotwords:
        """What follows `old`."""
        return Hotwords(
            method=self.method or old.method,
            words=self.words,
            boost_factor=old.boost_factor if self.boost_factor is None else self.boost_factor,
        )


def wording(raw: Mapping[str, object]) -> Wording:
    """What these fields say; raises `BadHotwords` naming the one at fault."""
    if "words" not in raw:
        raise BadHotwords("words is missing: send a list of words; [] empties the list", field="words")
    cleaned = checked(raw)
    return Wording(
        words=cleaned.words,
        method=cleaned.method if "method" in raw else None,
        boost_factor=cleaned.boost_factor if "boost_factor" in raw else None,
    )


def checked(raw: Mapping[str, object]) -> Hotwords:
    """The same with defaults for what is left out; fields that it does not know it passes over."""
    try:
        return validated(
            method=raw.get("method", HotwordMethod.PROMPT_INJECTION),  # type: ignore[arg-type]  # checked there
            words=raw.get("words", ()),  # type: ignore[arg-type]
            boost_factor=raw.get("boost_factor", DEFAULT_BOOST),  # type: ignore[arg-type]
        )
    except InvalidHotwords as error:
        raise BadHotwords(str(error), field=error.field) from None


async def object_sent(request: web.Request, *, known: tuple[str, ...] = ()) -> dict[str, object]:
    """The fields of a body that is a JSON object; where some are `known`, others are refused."""
    return _object(await body(request), known)


async def words_sent(request: web.Request, *, passed_over: tuple[str, ...] = ()) -> Wording:
    """The list in a body of any type we know; beside text, the query may say `method` and `boost_factor`."""
    kind, charset, sent = request.content_type, request.charset, await body(request)
    if kind == JSON:
        raw = _object(sent, (*FIELDS, *passed_over))
    elif kind in FILES:
        words = await asyncio.to_thread(lambda: FILES[kind](decoded(sent, charset)))
        raw = {"words": words, **_of_query(request)}
    else:
        raise UnsupportedMediaType(
            f"a body of type {kind} is no list of words: send application/json, text/plain with a word a "
            "line, or text/csv with the words in the first column"
        )
    return wording(raw)


async def body(request: web.Request) -> bytes:
    """The whole body, within a size and a time."""
    whole = bytearray()
    async with in_time(request):
        async for chunk in request.content.iter_any():
            whole += chunk
            if len(whole) > MAX_BODY_BYTES:
                raise TooLarge(f"the hotwords are larger than {MAX_BODY_BYTES} bytes")
    return bytes(whole)


def _object(sent: bytes, known: tuple[str, ...]) -> dict[str, object]:
    try:
        raw = msgspec.json.decode(sent, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadHotwords(f"the body is not a JSON object: {error}") from None
    for field in raw if known else ():  # a misspelled one must not go unnoticed
        if field not in known:
            raise BadHotwords(f"unknown field {field[:80]!r}; known are {', '.join(known)}", field=field[:80])
    return raw


def _of_query(request: web.Request) -> dict[str, object]:
    found: dict[str, object] = {name: request.query[name] for name in FIELDS[1:] if name in request.query}
    if "boost_factor" in found:
        with contextlib.suppress(ValueError):  # what stays text is refused with its name
            found["boost_factor"] = float(request.query["boost_factor"])
    return found
