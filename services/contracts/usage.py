"""What jobs have used: facts that outlive them, and the sums of each user and day that they add up to."""

import msgspec

from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import ChunkCut, ChunkTranscribed, JobEnded, JobEvent, Range


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted."""

    jobs: int = 0
    audio: int = 0
    """Samples that were decoded, those without speech included; of each channel, where they are apart."""
    skipped: int = 0
    """Samples without speech, which were not transcribed."""
    endpoint_seconds: float = 0.0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            jobs=self.jobs + other.jobs,
            audio=self.audio + other.audio,
            skipped=self.skipped + other.skipped,
            endpoint_seconds=self.endpoint_seconds + other.endpoint_seconds,
        )

    def __sub__(self, other: "Figures") -> "Figures":
        return Figures(
            jobs=self.jobs - other.jobs,
            audio=self.audio - other.audio,
            skipped=self.skipped - other.skipped,
            endpoint_seconds=self.endpoint_seconds - other.endpoint_seconds,
        )


class JobUsed(msgspec.Struct, frozen=True, kw_only=True, tag="job.used.v1"):
    """What one attempt at a job used. It counts for the day on which this was stored."""

    user: str
    figures: Figures


class DayUsed(msgspec.Struct, frozen=True, kw_only=True, tag="day.used.v1"):
    """The facts of one user and day added up, those up to `sequence` of their stream."""

    user: str
    sequence: int = 0
    figures: Figures = Figures()


def added(day: DayUsed, fact: JobUsed, sequence: int) -> DayUsed:
    """The day with this fact. Facts come in the order of their sequences, so an earlier one is in already."""
    if sequence <= day.sequence:
        return day
    return DayUsed(user=fact.user, sequence=sequence, figures=day.figures + fact.figures)


class Tally:
    """Counts what one upload of a job uses; its events go in, in their order."""

    def __init__(self) -> None:
        self._chunks = Figures()
        """What its chunks used so far."""
        self._ends: dict[int | None, int] = {}
        """Where the last chunk of each channel ends."""
        self._rest = Figures()
        """What only the end of an attempt tells: the sound after the last chunk. Each one tells it again."""
        self._counted = Figures()
        """How much it was when the attempt before this one ended."""

    def add(self, event: JobEvent) -> None:
        """One more event."""
        match event:
            case ChunkCut():
                before = self._ends.get(event.channel, 0)
                self._ends[event.channel] = max(before, event.end)
                audio = self._ends[event.channel] - before
                self._chunks += Figures(audio=audio, skipped=_length(event.skipped))
            case ChunkTranscribed():
                self._chunks += Figures(endpoint_seconds=event.endpoint_seconds)
            case JobEnded():
                self._rest = self._after(event)
                self._counted = self._chunks + self._rest

    def facts(
        self, user: str, owner: str, job: str, run: int, attempt: int, end: JobEnded | None = None
    ) -> dict[str, JobUsed]:
        """What this attempt used, by subject; `end` is its own, which is not stored yet.

        Whoever ends the attempt, or erases what it made, stores these first, create-only. The job itself is
        counted with its first upload, of which nothing may be left where it broke off.
        """
        rest = self._rest if end is None else self._after(end)
        figures = self._chunks + rest - self._counted
        one = Figures(jobs=1)
        first = not run and not attempt
        facts = {topology.usage(owner, run_id(job, run), attempt): figures + one if first else figures}
        if run:
            facts[topology.usage(owner, run_id(job, 0), 0)] = one
        return {subject: JobUsed(user=user, figures=used) for subject, used in facts.items()}

    def rest(self, end: JobEnded) -> Figures:
        """The sound that only this end tells of, beyond what the ends before it told."""
        return self._after(end) - self._rest

    def _after(self, end: JobEnded) -> Figures:
        channels = end.skipped_by_channel or (end.skipped,)
        return Figures(
            audio=max(self._rest.audio, len(channels) * end.duration - self._chunks.audio),
            skipped=max(self._rest.skipped, sum(map(_length, channels))),
        )


def _length(stretches: tuple[Range, ...]) -> int:
    return sum(stretch.end - stretch.start for stretch in stretches)
