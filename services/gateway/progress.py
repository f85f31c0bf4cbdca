"""How far a job has come: a fold over its events. Counts only, no text, so it stays small."""

import msgspec

from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobState,
    Range,
)
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
    Where channels are apart, their work counts as that of one recording: what waits on one of two channels
    is half done.
    """

    def __init__(self) -> None:
        self.sequence = 0
        """Of the newest event folded in."""
        self.ended: JobEnded | None = None
        self.source_bytes = 0
        self.tempo = Tempo()
        """How fast the texts of the first attempt come."""
        self._known: dict[int, int] = {}
        """Samples of each chunk and of the silence before it, which is settled with it."""
        self._done: set[int] = set()
        self._gaps: dict[int, int] = {}
        """The latest attempt that failed, of each chunk without text."""
        self._channels: set[int] = set()
        """Those with speech, where they are apart."""
        self._waiting_samples = 0
        """Of the chunks that are not settled."""
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
                self._finish(event, at, event.endpoint_seconds)
            case ChunkFailed():
                if event.chunk not in self._done or event.chunk in self._gaps:
                    self._gaps[event.chunk] = event.attempt
                self._finish(event, at)
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
        waiting = self._waiting_samples + sum(self._known[chunk] for chunk in again)
        done_samples = self._done_samples(waiting)
        self._percent = max(self._percent, self._share(done_samples, total))
        return View(
            percent=self._percent,
            transcribed_seconds=round(done_samples / SAMPLE_RATE, 2),
            total_seconds=None if total is None else round(total / SAMPLE_RATE, 2),
            chunks_done=len(self._done) - len(again),
            chunks_known=len(self._known),
            gaps=len(self._gaps),
        )

    def _plan(self, cut: ChunkCut) -> None:
        self._know(cut, cut.skipped)
        self.source_bytes = max(self.source_bytes, cut.source_bytes)

    def _know(
        self, event: ChunkCut | ChunkTranscribed | ChunkFailed, skipped: tuple[Range, ...] = ()
    ) -> None:
        """A chunk waits with the silence before it; that of a channel is not waited for beside the others."""
        if event.chunk in self._known:
            return
        before = skipped if event.channel is None else ()
        samples = event.end - event.start + sum(silence.end - silence.start for silence in before)
        self._known[event.chunk] = samples
        self._waiting_samples += samples
        self._cut_samples = max(self._cut_samples, event.end)
        if event.channel is not None:
            self._channels.add(event.channel)

    def _finish(self, event: ChunkTranscribed | ChunkFailed, at: float, took: float = 0.0) -> None:
        self._know(event)
        if event.chunk not in self._done:
            self._done.add(event.chunk)
            self._waiting_samples -= self._known[event.chunk]
            self.tempo.add(at, self._done_samples(self._waiting_samples) / SAMPLE_RATE, took)

    def _done_samples(self, waiting: int) -> int:
        return self._cut_samples - waiting // max(1, len(self._channels))

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
