"""How far a job has come: a fold over its events. Counts only, no text, so it stays small."""

import msgspec

from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import ChunkCut, ChunkFailed, ChunkTranscribed, JobEnded, JobEvent, JobState
from services.gateway.tempo import Tempo

MOST_BEFORE_END = 99


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The `progress` of a job in the API."""

    percent: int
    transcribed_seconds: float
    total_seconds: float | None
    chunks_done: int
    chunks_known: int
    gaps: int


class Progress:
    """Events in the order of their stream go in, the state of affairs comes out.

    `percent` never falls within an attempt; the gaps that a new attempt tries again are not done in it.
    """

    def __init__(self) -> None:
        self.sequence = 0
        """Of the newest event folded in."""
        self.ended: JobEnded | None = None
        self.source_bytes = 0
        self.tempo = Tempo()
        """How fast the texts of the first attempt come."""
        self._known: dict[int, int] = {}
        self._done: dict[int, int] = {}
        """Samples of each settled chunk and of the silence before it."""
        self._gaps: dict[int, int] = {}
        """The latest attempt that failed, of each chunk without text."""
        self._done_samples = 0
        self._cut_samples = 0
        self._attempt = 0
        self._percent = 0

    def add(self, sequence: int, event: JobEvent, at: float) -> None:
        """Fold one event in, stored at this Unix time; one that was folded in already changes nothing."""
        if sequence <= self.sequence:
            return
        self.sequence = sequence
        match event:
            case ChunkCut():
                self._plan(event)
            case ChunkTranscribed():
                self._gaps.pop(event.chunk, None)
                self._finish(event.chunk, event.end - event.start, at, event.endpoint_seconds)
            case ChunkFailed():
                if event.chunk not in self._done or event.chunk in self._gaps:
                    self._gaps[event.chunk] = event.attempt
                self._finish(event.chunk, event.end - event.start, at)
            case JobEnded():
                self.ended = event

    def end_of(self, attempt: int) -> JobEnded | None:
        """The end of this attempt, once it is there."""
        return self.ended if self.ended and self.ended.attempt >= attempt else None

    @property
    def gaps(self) -> int:
        """Chunks without text."""
        return len(self._gaps)

    def view(self, source_bytes: int | None, duration: int | None = None, attempt: int = 0) -> View:
        """The figures now, for a recording of so many bytes (where known) and samples (once decoded)."""
        if attempt > self._attempt:
            self._attempt, self._percent = attempt, 0
        total, again = self._total(source_bytes, duration), self._tried_again()
        done_samples = self._done_samples - sum(self._done[chunk] for chunk in again)
        self._percent = max(self._percent, self._share(done_samples, total))
        return View(
            percent=self._percent,
            transcribed_seconds=round(done_samples / SAMPLE_RATE, 2),
            total_seconds=None if total is None else round(total / SAMPLE_RATE, 2),
            chunks_done=len(self._done) - len(again),
            chunks_known=max(len(self._known), len(self._done)),
            gaps=len(self._gaps),
        )

    def _plan(self, cut: ChunkCut) -> None:
        if cut.chunk in self._known:
            return
        self._known[cut.chunk] = sum(skipped.end - skipped.start for skipped in cut.skipped)
        self._cut_samples = max(self._cut_samples, cut.end)
        self.source_bytes = max(self.source_bytes, cut.source_bytes)

    def _finish(self, chunk: int, samples: int, at: float, took: float = 0.0) -> None:
        """A settled chunk settles the silence before it, too."""
        if chunk not in self._done:
            self._done[chunk] = samples + self._known.get(chunk, 0)
            self._done_samples += self._done[chunk]
            self.tempo.add(at, self._done_samples / SAMPLE_RATE, took)

    def _tried_again(self) -> list[int]:
        """Gaps whose outcome in the current attempt is still to come."""
        if self.end_of(self._attempt):
            return []
        return [chunk for chunk, attempt in self._gaps.items() if attempt < self._attempt]

    def _total(self, source_bytes: int | None, duration: int | None) -> int | None:
        """Samples of the whole recording: known, or what the bytes decoded so far let expect."""
        if self.ended and self.end_of(self._attempt):
            return self.ended.duration
        if duration:
            return duration
        if not source_bytes or not self.source_bytes:
            return None
        return round(self._cut_samples * max(1.0, source_bytes / self.source_bytes))

    def _share(self, done_samples: int, total: int | None) -> int:
        ended = self.end_of(self._attempt)
        if ended and ended.state is JobState.COMPLETED:
            return 100
        if not total:
            return 0
        return min(MOST_BEFORE_END, 100 * done_samples // total)
