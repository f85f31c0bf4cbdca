"""Typed values kept under subjects of a key-value stream and changed by compare-and-set."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from services.common.bus import Bus

V = TypeVar("V", bound=msgspec.Struct)


class Documents(Generic[V]):
    """The values of one type in one stream, each under its subject."""

    def __init__(self, bus: Bus, stream: str, of: type[V]) -> None:
        self._bus = bus
        self._stream = stream
        self._of = of

    async def get(self, subject: str) -> V | None:
        """The value stored under the subject, if any; a replica that lags may tell an older one, or none."""
        found = await self._read(subject, by_leader=False)
        return found[0] if found else None

    async def newest(self, subject: str) -> V | None:
        """The same for certain, for decisions that cannot be taken back."""
        found = await self._read(subject, by_leader=True)
        return found[0] if found else None

    async def create(self, subject: str, value: V) -> bool:
        """Store the subject's first value; False when it has one."""
        return await self._bus.create(subject, msgspec.json.encode(value))

    async def put(self, subject: str, value: V) -> None:
        """Store the value whatever was there."""
        await self.change(subject, lambda _old: value, default=value)

    async def change(self, subject: str, change: Callable[[V], V], *, default: V | None = None) -> V | None:
        """Replace the value by `change(value)` and return it; None when there is none and no default.

        `change` runs again whenever somebody else was faster, so it must be a pure function.
        """
        while True:
            found = await self._read(subject, by_leader=True)
            old, revision = found if found else (default, 0)
            if old is None:
                return None
            new = change(old)
            if found and new == old:
                return old
            if await self._bus.replace(subject, msgspec.json.encode(new), expected=revision) is not None:
                return new

    async def _read(self, subject: str, *, by_leader: bool) -> tuple[V, int] | None:
        stored = await self._bus.last(self._stream, subject, by_leader=by_leader)
        if stored is None or not stored.data:
            return None
        return msgspec.json.decode(stored.data, type=self._of), stored.sequence
