"""Records of jobs that lists showed lately, so that a page costs the broker one question and not fifty."""

from collections import OrderedDict

from services.common.bus import Stored

MOST_BYTES = 8 * 1024 * 1024


class RecentRecords:
    """Messages by their subject; the ones used the longest ago make room."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        self._bytes = 0

    def get(self, subject: str, sequence: int) -> Stored | None:
        """The record, if it is the one with this sequence."""
        found = self._stored.get(subject)
        if found is None or found.sequence != sequence:
            return None
        self._stored.move_to_end(subject)
        return found

    def put(self, stored: Stored) -> None:
        """Keep a record in place of an older one."""
        self._drop(stored.subject)
        self._stored[stored.subject] = stored
        self._bytes += len(stored.data)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._stored)))

    def _drop(self, subject: str) -> None:
        dropped = self._stored.pop(subject, None)
        self._bytes -= len(dropped.data) if dropped else 0
