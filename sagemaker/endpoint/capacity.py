"""How many requests may share the batch, learned from how long they took, as TCP does it (RFC 5681)."""

from prometheus_client import Gauge

CAPACITY = Gauge("whisper_endpoint_capacity_requests", "Requests that may share the batch.")

FIRST_SHARE = 4
"""A slow machine would let every request of a full first batch miss its deadline, so begin at a quarter."""
TOO_LONG = 1 / 2
SHORT = 1 / 4
"""Shares of the deadline, waiting not counted: the queue's own limit bounds that, and a smaller batch
would only lengthen it."""


class Capacity:
    """Grows by one with each request that a full batch served in a short time; halves when one took too long.

    A full batch of a fast machine adds one for each of its requests, so that it doubles with each round.
    """

    def __init__(self, most: int, deadline_seconds: float) -> None:
        self._most = most
        self._deadline_seconds = deadline_seconds
        self._halved = 0.0
        self._set(max(1, most // FIRST_SHARE))

    def served(self, joined: float, now: float, *, full: bool) -> None:
        """A request that joined a batch has its transcript; the batch was full or had places left."""
        if full and now - joined < SHORT * self._deadline_seconds:
            self._set(min(self._most, self.rows + 1))
        else:
            self.left(joined, now)

    def left(self, joined: float, now: float) -> None:
        """A request is out of the batch, with or without an answer.

        Those that were in the batch at the last halving tell nothing about the batch since then.
        """
        if joined >= self._halved and now - joined > TOO_LONG * self._deadline_seconds:
            self._halved = now
            self._set(max(1, self.rows // 2))

    def _set(self, rows: int) -> None:
        self.rows = rows
        CAPACITY.set(rows)
