"""`/v1/hotwords`: named lists, one's own and shared; `/api/hotwords`: the default list, as it was before."""

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec
from aiohttp import web

from services.contracts.hotwords import DEFAULT_LIST, HotwordList, HotwordMethod, Hotwords
from services.contracts.identifiers import SHARED, is_list_name
from services.gateway.access import Access, check
from services.gateway.answers import date, json_response
from services.gateway.caller import caller
from services.gateway.errors import InvalidRequest
from services.gateway.hotwords import HOTWORD_LISTS, HotwordLists, no_such_list
from services.gateway.identity import Identity
from services.gateway.word_files import as_csv, as_text
from services.gateway.wordings import checked, object_sent, words_sent

GIVEN_OUT = ("name", "shared", "version", "updated_at")
"""Fields that a list is shown with, and that may come back as they were."""


class ListHead(msgspec.Struct, frozen=True, kw_only=True):
    """A list without its words."""

    name: str
    shared: bool
    version: int
    words: int
    """How many."""
    method: HotwordMethod
    boost_factor: float
    updated_at: str | None


class WholeList(msgspec.Struct, frozen=True, kw_only=True):
    """A list."""

    name: str
    shared: bool
    version: int
    method: HotwordMethod
    boost_factor: float
    words: tuple[str, ...]
    updated_at: str | None


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """All lists that a user can name, one's own first."""

    lists: list[ListHead]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a stored default list."""

    success: bool = True
    config: Hotwords


class Export(StrEnum):
    """How a list can be had."""

    JSON = "json"
    TXT = "txt"
    CSV = "csv"


FILES: dict[Export, tuple[str, Callable[[Iterable[str]], bytes]]] = {
    Export.TXT: ("text/plain", as_text),
    Export.CSV: ("text/csv", as_csv),
}


async def get_default(request: web.Request) -> web.Response:
    """`GET /api/hotwords`."""
    identity = caller(request)
    kept = await request.app[HOTWORD_LISTS].get(identity.owner, DEFAULT_LIST)
    return json_response(kept.hotwords if kept else Hotwords())


async def post_default(request: web.Request) -> web.Response:
    """`POST /api/hotwords`: replace the whole configuration."""
    identity = caller(request)
    config = checked(await object_sent(request))
    await request.app[HOTWORD_LISTS].put(identity.owner, DEFAULT_LIST, lambda _old: config)
    return json_response(Saved(config=config))


async def list_lists(request: web.Request) -> web.Response:
    """The user's own lists and the shared ones."""
    lists, identity = request.app[HOTWORD_LISTS], caller(request)
    heads = [
        _head(name, kept, shared=shared)
        for owner, shared in ((identity.owner, False), (SHARED, True))
        for name, kept in (await lists.all(owner)).items()
    ]
    return json_response(Lists(lists=heads))


async def get_list(request: web.Request) -> web.Response:
    """One list, in the format and the version asked for."""
    name, shared, kept = await _found(request, caller(request))
    wanted, headers = _format(request), {"ETag": f'"{kept.version}"'}
    if wanted is Export.JSON:
        return json_response(_whole(name, kept, shared=shared), headers=headers)
    kind, written = FILES[wanted]
    headers["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
    return web.Response(body=written(kept.words), content_type=kind, charset="utf-8", headers=headers)


async def put_list(request: web.Request) -> web.Response:
    """Make a list, or write its next version."""
    owner, shared = _owner(request, caller(request))
    name, expected = _name(request, shared=shared), _expected(request)
    sent = await words_sent(request, passed_over=GIVEN_OUT)
    kept, new = await request.app[HOTWORD_LISTS].put(owner, name, sent.over, expected=expected)
    headers = {"ETag": f'"{kept.version}"'}
    return json_response(_head(name, kept, shared=shared), status=201 if new else 200, headers=headers)


async def delete_list(request: web.Request) -> web.Response:
    """Erase a list with all its versions."""
    owner, _shared = _owner(request, caller(request))
    name = request.match_info["name"]
    if not is_list_name(name):
        raise no_such_list(name)
    await request.app[HOTWORD_LISTS].delete(owner, name, expected=_expected(request))
    return web.Response(status=204)


async def _found(request: web.Request, identity: Identity) -> tuple[str, bool, HotwordList]:
    """The list of the address: with `shared=true` the shared one, else one's own, else the shared one."""
    lists: HotwordLists = request.app[HOTWORD_LISTS]
    name = request.match_info["name"]
    found = await lists.found(SHARED if _is_shared(request) else identity.owner, name)
    if found is None:
        raise no_such_list(name)
    kept, shared = found
    shared = shared or _is_shared(request)
    if "version" in request.query:
        owner = SHARED if shared else identity.owner
        kept = await lists.version(owner, name, _version(request.query["version"]))
    return name, shared, kept


def _owner(request: web.Request, identity: Identity) -> tuple[str, bool]:
    """Whose list is written."""
    if not _is_shared(request):
        return identity.owner, False
    check(identity, Access.ADMIN)
    return SHARED, True


def _is_shared(request: web.Request) -> bool:
    text = request.query.get("shared", "false").lower()
    if text not in ("true", "false"):
        raise InvalidRequest(f"shared is {text[:40]!r}: use true or false", field="shared")
    return text == "true"


def _name(request: web.Request, *, shared: bool) -> str:
    name = request.match_info["name"]
    if shared and name == DEFAULT_LIST:
        raise InvalidRequest(f"{name} is the name of each user's own list: choose another", field="name")
    if not is_list_name(name):
        raise InvalidRequest(
            f"{name[:80]!r} is no name for a list: use 1 to 64 of a-z, 0-9, _ and -, a letter or digit first",
            field="name",
        )
    return name


def _expected(request: web.Request) -> frozenset[int] | None:
    """The versions that may be overwritten, by If-Match, or none at all by `If-None-Match: *`."""
    if request.headers.get("If-None-Match", "").strip() == "*":
        return frozenset({0})
    header = request.headers.get("If-Match")
    if header is None:
        return None
    tags = [tag.value for tag in request.if_match or ()]
    if not tags or not all(tag.isascii() and tag.isdigit() for tag in tags):
        raise InvalidRequest(f'If-Match is {header[:40]!r}: send the version in quotes, such as "3"')
    return frozenset(map(_version, tags))


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidRequest(f"version is {text[:40]!r}: use a whole number", field="version")
    return int(text)


def _format(request: web.Request) -> Export:
    text = request.query.get("format", Export.JSON)
    try:
        return Export(text)
    except ValueError:
        raise InvalidRequest(
            f"unknown format {text[:40]!r}: use {', '.join(Export)}", field="format"
        ) from None


def _head(name: str, kept: HotwordList, *, shared: bool) -> ListHead:
    return ListHead(
        name=name,
        shared=shared,
        version=kept.version,
        words=len(kept.words),
        method=kept.method,
        boost_factor=kept.boost_factor,
        updated_at=None if kept.updated_at is None else date(kept.updated_at),
    )


def _whole(name: str, kept: HotwordList, *, shared: bool) -> WholeList:
    return WholeList(
        name=name,
        shared=shared,
        version=kept.version,
        method=kept.method,
        boost_factor=kept.boost_factor,
        words=kept.words,
        updated_at=None if kept.updated_at is None else date(kept.updated_at),
    )
