"""What a user has, as sums: jobs that run or wait, uploads of the last minute, hours of stored audio."""

import heapq

from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import JobRecord

MINUTE = 60.0


class Ledger:
    """Fed with each record of the owner as it changes, in any order; asked without looking at them all."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        """Jobs that run or wait."""
        self.known: set[str] = set()
        """Every job that is there."""
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
        (self.open.add if there and not record.state.final else self.open.discard)(record.id)

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

    def _drop(self, job: str) -> None:
        _, seconds = self._audio.pop(job, (0.0, 0.0))
        self._seconds -= seconds
