"""Each user's stored hotwords: what uploads that bring none of their own are transcribed with."""

import msgspec
from aiohttp import web

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.hotwords import DEFAULT_BOOST, HotwordMethod, Hotwords, InvalidHotwords, validated
from services.contracts.topology import Stream
from services.gateway.answers import json_response
from services.gateway.bodies import in_time
from services.gateway.caller import caller
from services.gateway.errors import BadHotwords, TooLarge

MAX_BODY_BYTES = 1024 * 1024


class HotwordLists:
    """One list for each owner."""

    def __init__(self, bus: Bus) -> None:
        self._lists = Documents(bus, Stream.HOTWORDS, Hotwords)

    async def get(self, owner: str) -> Hotwords:
        """The stored list, or the defaults."""
        return await self._lists.get(topology.hotword_list(owner)) or Hotwords()

    async def put(self, owner: str, hotwords: Hotwords) -> None:
        """Replace the stored list."""
        await self._lists.put(topology.hotword_list(owner), hotwords)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a stored list."""

    success: bool = True
    config: Hotwords


HOTWORD_LISTS = web.AppKey("hotword_lists", HotwordLists)


async def get_hotwords(request: web.Request) -> web.Response:
    """`GET /api/hotwords`."""
    identity = await caller(request)
    return json_response(await request.app[HOTWORD_LISTS].get(identity.owner))


async def post_hotwords(request: web.Request) -> web.Response:
    """`POST /api/hotwords`: replace the whole configuration."""
    identity = await caller(request)
    config = parsed(await _body(request))
    await request.app[HOTWORD_LISTS].put(identity.owner, config)
    return json_response(Saved(config=config))


def parsed(body: bytes) -> Hotwords:
    """The configuration that a JSON body describes; raises `BadHotwords` naming what is wrong."""
    try:
        raw = msgspec.json.decode(body, type=dict[str, object])
        return validated(
            method=raw.get("method", HotwordMethod.PROMPT_INJECTION),  # type: ignore[arg-type]  # checked there
            words=raw.get("words", ()),  # type: ignore[arg-type]
            boost_factor=raw.get("boost_factor", DEFAULT_BOOST),  # type: ignore[arg-type]
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadHotwords(f"the body is not a JSON object: {error}") from None
    except InvalidHotwords as error:
        raise BadHotwords(str(error), field=error.field) from None


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async with in_time(request):
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise TooLarge(f"the hotword configuration is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)
