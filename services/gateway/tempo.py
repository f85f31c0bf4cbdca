"""How fast a job's texts come, told by when each was stored and how far it brought the job.

Chunks are transcribed several at a time, so texts come in bursts; and the first come late, after upload,
decoding and perhaps the start of an endpoint. A line through what was done when each burst began sees
neither. What is done, over the time since the job began, sees both.
"""

import math

BURSTS = 3
"""As many must have begun: the first is often smaller than the others."""
PATIENCE = 2.0
"""Longest pauses that the line must reach over, so that it does not lie within one burst."""
LATENESS = 2
"""The n-th burst counts n to this power: the later half of them for seven times the earlier one."""


class Tempo:
    """Fed with one text after the other; a few sums, however many there are."""

    def __init__(self) -> None:
        self._line = _Line()
        self._began = -math.inf
        """The latest burst."""
        self._latest = -math.inf
        """Text."""
        self._done = 0.0
        self._longest = 0.0
        """Pause between two texts."""
        self._quickest = math.inf
        """Time that a chunk took at the endpoint: its next one comes no sooner."""
        self._steady = False

    def add(self, at: float, done: float, took: float) -> None:
        """At this time (Unix time) `done` seconds of the recording were settled.

        The latest of them `took` so long at the endpoint, 0 where it did not say.
        """
        at = max(at, self._latest)  # should the broker's clock be set back
        self._quickest = min(self._quickest, took or math.inf)
        if self._latest > -math.inf:
            self._longest = max(self._longest, at - self._latest)
        if at - self._began >= self._least / 2:
            self._line.add(at, self._done)
            self._began = at
        self._latest, self._done = at, done
        reach = PATIENCE * max(self._longest, self._least)
        self._steady = self._steady or (self._line.count >= BURSTS and self._line.span >= reach)

    def seconds_for(self, rest: float, now: float) -> float | None:
        """How long so many seconds of the recording still take at `now`; None before there is a tempo.

        While no text comes for longer than ever before, it stays as it was.
        """
        pace = self._line.slope() if self._steady else 0.0
        if pace <= 0:
            return None
        expected = max(rest / pace, self._least if rest else 0.0)
        silence = max(0.0, now - self._latest)
        return max(0.0, expected - min(silence, self._longest))

    @property
    def _least(self) -> float:
        return self._quickest if self._quickest < math.inf else 0.0


class _Line:
    """The line that is nearest to some points by weighted least squares, x never falling."""

    def __init__(self) -> None:
        self.count = 0
        self.span = 0.0
        """Of x."""
        self._begin = 0.0
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        if not self.count:
            self._begin = x
        self.count += 1
        self.span = x - self._begin
        weight = float(self.count**LATENESS)
        self._weight += weight
        self._x += weight * self.span
        self._y += weight * y
        self._xx += weight * self.span**2
        self._xy += weight * self.span * y

    def slope(self) -> float:
        """0 where there is none."""
        spread = self._weight * self._xx - self._x**2
        return (self._weight * self._xy - self._x * self._y) / spread if spread > 0 else 0.0
