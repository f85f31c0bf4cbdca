"""A user's stored hotword lists, and those that all users share."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec

from client.answers import Job
from client.retrying import patiently
from client.session import Content, Session, json

T = TypeVar("T")
Method = Literal["prompt_injection", "logit_bias"]


class ListHead(msgspec.Struct, frozen=True):
    """A list without its words; `words` is how many it has."""

    name: str
    shared: bool
    version: int
    words: int
    method: str
    boost_factor: float
    updated_at: datetime | None = None


class HotwordList(msgspec.Struct, frozen=True):
    """A list with its words."""

    name: str
    shared: bool
    version: int
    method: str
    boost_factor: float
    words: tuple[str, ...]
    updated_at: datetime | None = None


class _Lists(msgspec.Struct, frozen=True):
    lists: tuple[ListHead, ...]


class HotwordLists:
    """Reads and changes lists; `default` is the one that uploads use which name no other."""

    def __init__(self, connected: Callable[[], Session], patience_seconds: float) -> None:
        self._connected = connected
        self._patience_seconds = patience_seconds

    async def list(self) -> tuple[ListHead, ...]:
        """Every list that may be used, own and shared."""
        return (await self._again(lambda: self._connected().get("/v1/hotwords", _Lists))).lists

    async def get(self, name: str, *, version: int | None = None, shared: bool = False) -> HotwordList:
        """A list, or an older version of it; with `shared`, that of all users where one's own hides it."""
        query = _query(shared) | ({} if version is None else {"version": str(version)})
        return await self._again(lambda: self._connected().get(_path(name), HotwordList, **query))

    async def export(self, name: str, kind: Literal["txt", "csv"] = "txt") -> bytes:
        """A list as a file."""
        return await self._again(lambda: self._connected().get_bytes(_path(name), format=kind))

    async def set(
        self,
        name: str,
        words: Sequence[str],
        *,
        method: Method | None = None,
        boost_factor: float | None = None,
        shared: bool = False,
        version: int | None = None,
    ) -> ListHead:
        """Store a list; with `version`, only if that is the stored one still (else `Refused`, 412)."""
        settings = {"method": method, "boost_factor": boost_factor}
        body = {"words": list(words)} | {key: value for key, value in settings.items() if value is not None}
        return await self._put(name, json(body), shared, version)

    async def load(
        self,
        name: str,
        data: bytes,
        kind: Literal["txt", "csv"] = "txt",
        *,
        encoding: str | None = None,
        shared: bool = False,
    ) -> ListHead:
        """Store the words of a file, in UTF-8 unless said: a word a line, or the first column of a CSV."""
        charset = f"; charset={encoding}" if encoding else ""
        return await self._put(
            name, Content(data, f"text/{'csv' if kind == 'csv' else 'plain'}{charset}"), shared, None
        )

    async def apply(self, job_id: str, words: str | Sequence[str]) -> Job:
        """Give a running job the list of that name, or these words, for the chunks still to come."""
        body = {"list": words} if isinstance(words, str) else {"words": list(words)}
        path = f"/v1/jobs/{quote(job_id, safe='')}/hotwords"
        sent = await self._again(lambda: self._connected().send("PUT", path, content=json(body)))
        return msgspec.json.decode(sent, type=Job)

    async def delete(self, name: str, *, shared: bool = False) -> None:
        """Forget a list."""
        await self._again(lambda: self._connected().send("DELETE", _path(name), query=_query(shared)))

    async def _put(self, name: str, content: Content, shared: bool, version: int | None) -> ListHead:
        """Twice has the same effect as once, but a version is taken once only."""
        query = _query(shared)
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        send = self._connected().send

        async def put() -> bytes:
            return await send("PUT", _path(name), content=content, headers=headers, query=query)

        return msgspec.json.decode(await (self._again(put) if version is None else put()), type=ListHead)

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        return await patiently(work, self._patience_seconds)


def _query(shared: bool) -> dict[str, str]:
    return {"shared": "true"} if shared else {}


def _path(name: str) -> str:
    return f"/v1/hotwords/{quote(name, safe='')}"
