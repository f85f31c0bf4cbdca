"""What a user has, as sums: jobs that run or wait, uploads of the last minute, hours of stored audio."""

import heapq
from bisect import insort

import msgspec

from services.contracts.channels import Channels
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import JobRecord, JobState, Lane

MINUTE = 60.0
ENDED_KEPT = 60
"""Jobs that ended last, which forecasts measure by."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs or waits."""

    created_at: float
    lane: Lane
    started_at: float | None
    """None while it waits."""
    bytes: int
    """Of its upload, as stored or as announced; 0 while unknown."""
    kind: str
    channels: Channels


class Ended(msgspec.Struct, frozen=True, order=True):
    """A job that ended well; Unix times by the broker's clock."""

    ended_at: float
    id: str
    created_at: float
    started_at: float
    lane: Lane
    kind: str
    bytes: int
    seconds: float
    """Of audio."""
    channels: Channels

    @property
    def took(self) -> float:
        """Seconds from its begin to its end."""
        return self.ended_at - self.started_at


class Ledger:
    """Fed with each record of the owner as it changes, in any order; asked without looking at them all."""

    def __init__(self) -> None:
        self.open: dict[str, Open] = {}
        """Jobs that run or wait."""
        self.known: set[str] = set()
        """Every job that is there."""
        self.ended: list[Ended] = []
        """Jobs that ended last, in that order."""
        self._begun: dict[str, float] = {}
        """When the jobs of the last minute were made, also those deleted since."""
        self._audio: dict[str, tuple[float, float]] = {}
        """When each job with stored audio ended (Unix time), and its length in seconds."""
        self._ends: list[tuple[float, str]] = []
        """The same by time, as a heap; entries that `_audio` contradicts count for nothing."""
        self._seconds = 0.0

    def put(self, record: JobRecord, now: float) -> None:
        """Take in a record that was stored at this Unix time, by the broker's clock."""
        if record.created_at > now - MINUTE:
            self._begun[record.id] = record.created_at
        self._settle(record)
        there = not record.deleted
        (self.known.add if there else self.known.discard)(record.id)
        if there and not record.state.final:
            self.open[record.id] = _open(record)
        else:
            self.open.pop(record.id, None)
        self._measure(record)

    def uploads(self, now: float) -> list[float]:
        """When the uploads of the last minute began, oldest first."""
        self._begun = {job: at for job, at in self._begun.items() if at > now - MINUTE}
        return sorted(self._begun.values())

    def stored_seconds(self, ended_after: float) -> float:
        """Length of the audio of jobs that ended after this time: that of the others is erased."""
        while self._ends and self._ends[0][0] <= ended_after:
            ended_at, job = heapq.heappop(self._ends)
            if self._audio.get(job, (0.0, 0.0))[0] == ended_at:
                self._drop(job)
        return self._seconds

    def oldest_end(self) -> float | None:
        """When the job ended whose audio is erased next."""
        return min((ended_at for ended_at, _ in self._audio.values()), default=None)

    def _settle(self, record: JobRecord) -> None:
        """Count the audio of a job that has ended; its length is not known before."""
        self._drop(record.id)
        if record.deleted or record.ended_at is None or not record.duration:
            return
        self._audio[record.id] = (record.ended_at, record.duration / SAMPLE_RATE)
        self._seconds += record.duration / SAMPLE_RATE
        heapq.heappush(self._ends, (record.ended_at, record.id))

    def _measure(self, record: JobRecord) -> None:
        ended = _ended(record)
        if ended is not None and ended not in self.ended:
            insort(self.ended, ended)
            del self.ended[:-ENDED_KEPT]

    def _drop(self, job: str) -> None:
        _, seconds = self._audio.pop(job, (0.0, 0.0))
        self._seconds -= seconds


def _open(record: JobRecord) -> Open:
    return Open(
        created_at=record.created_at,
        lane=record.lane,
        started_at=None if record.state is JobState.QUEUED else record.started_at,
        bytes=record.upload_bytes or record.announced_bytes or 0,
        kind=_kind(record.name),
        channels=record.options.channels,
    )


def _ended(record: JobRecord) -> Ended | None:
    """What a job that ended well says of others; one whose gaps were tried again says nothing."""
    began, ended, duration = record.started_at, record.ended_at, record.duration
    whole = record.state is JobState.COMPLETED and not record.attempt
    if record.deleted or not whole or began is None or ended is None or not duration or ended <= began:
        return None
    return Ended(
        ended_at=ended,
        id=record.id,
        created_at=record.created_at,
        started_at=began,
        lane=record.lane,
        kind=_kind(record.name),
        bytes=record.upload_bytes,
        seconds=duration / SAMPLE_RATE,
        channels=record.options.channels,
    )


def _kind(name: str) -> str:
    """Files of one kind hold about as much audio a byte."""
    return name.rpartition(".")[2].lower()
