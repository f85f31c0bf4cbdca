"""Who uses the most today, as a metric with a bounded number of labels."""

from collections.abc import Mapping
from datetime import UTC, datetime
from heapq import nlargest

import msgspec
from prometheus_client import Gauge

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.inference import SAMPLE_RATE
from services.contracts.topology import Stream
from services.contracts.usage import DayUsed

OTHERS = "others"
"""All users together who have no label of their own. One who bears this name is among them."""

AUDIO = Gauge(
    "whisper_user_audio_seconds", "Audio of today's ended jobs, by user: those with the most of it", ["user"]
)


class TopUsers:
    """Reads what has changed of the day's sums."""

    def __init__(self, bus: Bus, most: int) -> None:
        """Show `most` users by name; 0 shows nothing."""
        self._bus = bus
        self._most = most
        self._date = ""
        self._sequence = 0
        self._samples: dict[str, int] = {}
        self._shown: set[str] = set()

    async def look(self, now: float) -> None:
        """Show who it is at this time of the broker's."""
        if not self._most:
            return
        date = datetime.fromtimestamp(now, UTC).date().isoformat()
        if date != self._date:
            self._date, self._sequence, self._samples = date, 0, {}
        subjects = topology.used_on(date)
        while (stored := await self._bus.next(Stream.DAYS, subjects, self._sequence)) is not None:
            self._sequence = stored.sequence
            used = msgspec.json.decode(stored.data, type=DayUsed)
            self._samples[used.user] = used.figures.audio
        self._show()

    def _show(self) -> None:
        top = ranked(self._samples, self._most)
        for user in self._shown - top.keys():
            AUDIO.remove(user)
        for user, samples in top.items():
            AUDIO.labels(user).set(samples / SAMPLE_RATE)
        self._shown = set(top)


def ranked(samples: Mapping[str, int], most: int) -> dict[str, int]:
    """The `most` users with the most samples, and the rest together."""
    named = {user: count for user, count in samples.items() if user != OTHERS}
    top = dict(nlargest(most, named.items(), key=lambda item: item[1]))
    return {**top, OTHERS: sum(samples.values()) - sum(top.values())}
