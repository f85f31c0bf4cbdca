"""The jobs that the janitor has in mind: what is under way, what changed lately, what is due soon.

All others are met again on its next walk through the records, so that memory does not grow with history.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec
from prometheus_client import Gauge

from services.common.bus import Bus, Stored
from services.contracts import topology
from services.contracts.messages import JobOptions, JobRecord, JobState
from services.contracts.topology import Stream
from services.gateway.settings import Settings

WALK_SECONDS = 3600.0
"""Pause between two walks through all records."""
BATCH = 1000
"""Records read before they are looked after."""
MOST = 50_000
"""Jobs in mind at the most, about 1 KB each; of those beyond, the ones that ended wait for the next walk."""

REMEMBERED = Gauge("whisper_janitor_jobs", "Jobs that the janitor has in mind")
UNDER_WAY = Gauge("whisper_jobs", "Jobs that have not ended, as the janitor last saw", ["state"])


class Known(msgspec.Struct, kw_only=True):
    """A job as the janitor remembers it."""

    record: JobRecord
    """Without what may be large or is of no use here: options and names."""
    changed_at: float
    """By the broker's clock."""
    pause_seconds: float
    next_at: float = 0.0
    """By the monotonic clock."""


class Remembered:
    """Reads the records that changed, and each hour all of them, batch by batch."""

    def __init__(self, bus: Bus, settings: Settings, *, walk_seconds: float = WALK_SECONDS) -> None:
        self._bus = bus
        self._settings = settings
        self._walk_seconds = walk_seconds
        self._jobs: dict[str, Known] = {}
        self._sequence = 0
        self._walk_at = 0.0
        self.now = 0.0
        """The broker's time as the round began: that of this machine may be wrong."""

    def __iter__(self) -> Iterator[tuple[str, Known]]:
        """Every job in mind, by the subject of its record."""
        return iter(tuple(self._jobs.items()))

    def begin(self, now: float) -> None:
        """A round begins, at this time of the broker's; now and then it is a walk."""
        self.now = now
        if now >= self._walk_at:
            self._sequence = 0
            self._walk_at = now + self._walk_seconds

    async def learn(self) -> bool:
        """Read the next records; whether there may be more."""
        subjects = topology.job_record("*", "*")
        for _ in range(BATCH):
            stored = await self._bus.next(Stream.JOB, subjects, self._sequence)
            if stored is None:
                return False
            self._sequence = stored.sequence
            self._take(stored)
        return True

    def drop(self, subject: str) -> None:
        """This record is gone for good."""
        del self._jobs[subject]

    def forget(self) -> None:
        """Let go of the jobs of which nothing is due until the next walk."""
        for subject, known in self:
            if not self._matters(known):
                del self._jobs[subject]
        for subject, known in self:
            if len(self._jobs) <= MOST:
                break
            if known.record.state.final or known.record.deleted:
                del self._jobs[subject]
        REMEMBERED.set(len(self._jobs))
        states = Counter(known.record.state for _, known in self if not known.record.deleted)
        for state in (JobState.QUEUED, JobState.RUNNING):
            UNDER_WAY.labels(state).set(states[state])

    def _take(self, stored: Stored) -> None:
        known, changed_at = self._jobs.get(stored.subject), stored.stored_at
        if not stored.data or (known is not None and known.changed_at == changed_at):
            return
        record = msgspec.json.decode(stored.data, type=JobRecord)
        small = msgspec.structs.replace(record, options=JobOptions(), session="", name="")
        lately = self.now - changed_at < self._walk_seconds
        pause = 0.0 if lately else self._walk_seconds  # what is old was erased before: once a walk is enough
        self._jobs[stored.subject] = Known(record=small, changed_at=changed_at, pause_seconds=pause)

    def _matters(self, known: Known) -> bool:
        record = known.record
        if not (record.state.final or record.deleted) or self.now - known.changed_at < self._walk_seconds:
            return True
        audio_due = known.changed_at + self._settings.audio_retention_seconds
        text_due = record.created_at + self._settings.text_retention_seconds
        return any(self.now - self._walk_seconds < due < self._walk_at for due in (audio_due, text_due))
