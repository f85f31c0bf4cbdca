"""The stored lists of hotwords: each user's own and those that are everybody's, in versions."""

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from services.common.bus import Bus
from services.common.documents import Documents
from services.contracts import topology
from services.contracts.hotwords import DEFAULT_LIST, HotwordList, Hotwords, ListUsed
from services.contracts.identifiers import SHARED, is_list_name
from services.contracts.topology import Stream
from services.gateway.errors import InvalidOption, NotFound, OverLimit, VersionConflict
from services.gateway.settings import Settings

NEW = HotwordList(version=0)
"""What a list is before its first version."""
AT_ONCE = 16
"""Lists read side by side."""

Written = Callable[[Hotwords], Hotwords]
"""What a list holds next, by what it holds now. Pure: it runs again where somebody else was faster."""


class ListLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one owner may keep; 0 is no limit."""

    lists: int
    bytes: int

    def check(self, others: Mapping[str, HotwordList], hotwords: Hotwords) -> None:
        """Raise `OverLimit` where this list is too much beside the owner's others."""
        count = len(others) + 1
        if 0 < self.lists < count:
            raise OverLimit(
                f"this would be hotword list {count}, and {self.lists} are allowed; delete one, or "
                "write into one that is there",
                code="too_many_lists",
            )
        taken = _bytes(hotwords) + sum(map(_bytes, others.values()))
        if 0 < self.bytes < taken:
            raise OverLimit(
                f"the words of all lists would take {taken} bytes, and {self.bytes} are allowed; make this "
                "list shorter, or delete another",
                code="lists_too_large",
            )


class HotwordLists:
    """Every list of every owner; `SHARED` owns those of all. Names have been checked before."""

    def __init__(self, bus: Bus, limits: ListLimits) -> None:
        self._bus = bus
        self._limits = limits
        self._lists = Documents(bus, Stream.HOTWORDS, HotwordList)

    async def get(self, owner: str, name: str) -> HotwordList | None:
        """The newest version, for certain: who has just changed a list uploads with what it holds now."""
        return await self._lists.newest(topology.hotword_list(owner, name))

    async def version(self, owner: str, name: str, version: int) -> HotwordList:
        """One version, the newest or an older one; raises `NotFound` where it is not kept."""
        kept, after = list[HotwordList](), 0
        while (stored := await self._bus.next(*_place(owner, name), after)) is not None:
            after = stored.sequence
            kept.append(msgspec.json.decode(stored.data, type=HotwordList))
        for each in reversed(kept):
            if each.version == version:
                return each
        versions = ", ".join(str(each.version) for each in kept) or "none"
        raise NotFound(f"there is no version {version} of the list {name!r}; kept are {versions}")

    async def all(self, owner: str) -> dict[str, HotwordList]:
        """The newest version of each list of this owner, by name."""
        subjects = await self._bus.subjects(Stream.HOTWORDS, topology.hotword_list(owner, "*"))
        names = sorted(map(topology.name_of_list, subjects))
        places = asyncio.Semaphore(AT_ONCE)

        async def read(name: str) -> HotwordList | None:
            async with places:
                return await self._lists.get(topology.hotword_list(owner, name))

        found = await asyncio.gather(*map(read, names))
        return {name: each for name, each in zip(names, found, strict=True) if each is not None}

    async def put(
        self, owner: str, name: str, written: Written, *, expected: frozenset[int] | None = None
    ) -> tuple[HotwordList, bool]:
        """Store the next version and say whether it is the first; what changes nothing makes no version.

        Raises `VersionConflict` unless the newest version is one of `expected` (0 before the first), and
        `OverLimit`.
        """
        now, others = time.time(), await self.all(owner)
        others.pop(name, None)

        def changed(old: HotwordList) -> HotwordList:
            hotwords = written(old.hotwords)
            same = bool(old.version) and old.hotwords == hotwords
            if same and old.updated_at == now:  # stored before by us, and the answer was lost
                return old
            _check(name, old.version, expected)
            self._limits.check(others, hotwords)
            if same:
                return old
            return HotwordList(
                method=hotwords.method,
                words=hotwords.words,
                boost_factor=hotwords.boost_factor,
                version=old.version + 1,
                updated_at=now,
            )

        stored = await self._lists.change(topology.hotword_list(owner, name), changed, default=NEW) or NEW
        return stored, stored.version == 1 and stored.updated_at == now

    async def delete(self, owner: str, name: str, *, expected: frozenset[int] | None = None) -> None:
        """Erase a list with its versions, but no version that is written at the same time.

        Raises `NotFound`, or `VersionConflict` as `put` does.
        """
        stored = await self._bus.last(*_place(owner, name), by_leader=True)
        if stored is None:
            raise no_such_list(name)
        _check(name, msgspec.json.decode(stored.data, type=HotwordList).version, expected)
        await self._bus.purge(*_place(owner, name), through=stored.sequence)

    async def found(self, owner: str, name: str) -> tuple[HotwordList, bool] | None:
        """The list that a user means by a name, and whether it is shared: their own comes first.

        A default list is there for everybody, if only an empty one.
        """
        for of, shared in ((owner, False), (SHARED, True)):
            if is_list_name(name) and (kept := await self.get(of, name)) is not None:
                return kept, shared
        return (NEW, False) if name == DEFAULT_LIST and owner != SHARED else None

    async def used(
        self, owner: str, name: str | None, *, field: str = "hotword_list"
    ) -> tuple[Hotwords, ListUsed | None]:
        """The list that a job gets its hotwords from: the one named, or the user's default list.

        Raises `InvalidOption`, with the field that holds the name, where there is no such list.
        """
        if name is None:
            kept = await self.get(owner, DEFAULT_LIST) or NEW
            used = ListUsed(name=DEFAULT_LIST, version=kept.version)
            return kept.hotwords, used if kept.words else None
        found = await self.found(owner, name)
        if found is None:
            raise InvalidOption(
                f"there is no hotword list {name[:80]!r}: GET /v1/hotwords tells the names", field=field
            )
        kept, shared = found
        return kept.hotwords, ListUsed(name=name, version=kept.version, shared=shared)


HOTWORD_LISTS = web.AppKey("hotword_lists", HotwordLists)


def list_limits(settings: Settings) -> ListLimits:
    """The limits that the settings give."""
    return ListLimits(lists=settings.user_hotword_lists, bytes=settings.user_hotword_bytes)


def no_such_list(name: str) -> NotFound:
    """The refusal of a name that is no list's."""
    return NotFound(f"there is no hotword list {name[:80]!r}")


def _place(owner: str, name: str) -> tuple[Stream, str]:
    return Stream.HOTWORDS, topology.hotword_list(owner, name)


def _check(name: str, version: int, expected: frozenset[int] | None) -> None:
    if expected is None or version in expected:
        return
    now = f"is at version {version} by now" if version else "does not exist"
    raise VersionConflict(
        f"the list {name!r} {now}, not at {' or '.join(map(str, sorted(expected)))}; read it again and "
        "decide anew"
    )


def _bytes(hotwords: Hotwords | HotwordList) -> int:
    return sum(len(word.encode()) for word in hotwords.words)
