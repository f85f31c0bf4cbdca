"""The jobs of one owner in the order in which they are listed; little of each, so that many fit in memory."""

import asyncio
from bisect import bisect_left, insort

import msgspec

from services.common.bus import Stored
from services.contracts.messages import JobRecord
from services.gateway.ledger import Ledger


class Entry(msgspec.Struct, frozen=True, order=True):
    """What the list of an owner's jobs is sorted and searched by."""

    created_at: float
    id: str
    session: str


class JobIndex:
    """Fed with the owner's records; those changed since are enough."""

    def __init__(self) -> None:
        self.sequence = 0
        """Up to which the records are known."""
        self.building = asyncio.Lock()
        self.ledger = Ledger()
        self._entries: dict[str, tuple[Entry, int]] = {}
        """With the sequence of each record's newest version."""
        self._sorted: list[Entry] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, stored: Stored) -> None:
        """A record as it is now; adding it again changes nothing."""
        if not stored.data:
            return
        record = msgspec.json.decode(stored.data, type=JobRecord)
        self.ledger.put(record, stored.stored_at)
        if record.id in self._entries:
            known, _ = self._entries.pop(record.id)
            del self._sorted[bisect_left(self._sorted, known)]
        if not record.deleted:
            entry = Entry(record.created_at, record.id, record.session)
            self._entries[record.id] = entry, stored.sequence
            insort(self._sorted, entry)

    def page(self, limit: int, before: Entry | None) -> tuple[list[Entry], bool]:
        """Up to `limit` entries, newest first, and whether there are more."""
        end = len(self._sorted) if before is None else bisect_left(self._sorted, before)
        begin = max(0, end - limit)
        return self._sorted[begin:end][::-1], begin > 0

    def sequence_of(self, entry: Entry) -> int:
        """Of the newest version of the job's record."""
        return self._entries[entry.id][1]

    def newest_of(self, session: str) -> Entry | None:
        """The newest job that this session uploaded."""
        return next((entry for entry in reversed(self._sorted) if entry.session == session), None)
