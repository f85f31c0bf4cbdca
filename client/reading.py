"""Puts the events of a job together: text in order though chunks finish in any order, and how far it is."""

from client.answers import Cut, End, Gap, Job, JobEvent, Text


class Reading:
    """What is known of one job so far."""

    def __init__(self) -> None:
        self.gaps: dict[int, Gap] = {}
        self.end: End | None = None
        self._texts: dict[int, str] = {}
        self._next = 0
        self._attempt = 0
        self._chunk_seconds: dict[int, float] = {}
        self._skipped: dict[int, float] = {}
        self._channels: set[int | None] = set()
        self._total: float | None = None
        self.position: int | None = None
        self.seconds_left: float | None = None
        """When the server last said so."""

    def take(self, event: JobEvent) -> list[str]:
        """Note the event; returns the texts that may be shown now, in the order of the recording."""
        match event:
            case Job():
                self._attempt = event.attempt
                self.position, self.seconds_left = event.position, event.seconds_left
                self._total = (
                    event.duration or (event.progress and event.progress.total_seconds) or self._total
                )
            case Cut():
                self._channels.add(event.channel)
                self._skipped[event.chunk] = sum(part.end - part.start for part in event.skipped)
            case Text():
                self.gaps.pop(event.chunk, None)
                speaker = "" if event.channel is None else f"Channel {event.channel + 1}: "
                self._texts[event.chunk] = event.text and speaker + event.text
                self._chunk_seconds[event.chunk] = event.end - event.start
            case Gap() if event.chunk not in self._texts:
                self.gaps[event.chunk] = event
                if self._settled(event.chunk):
                    self._chunk_seconds[event.chunk] = event.end - event.start
            case End():
                self.end = event
                self._total = event.duration or self._total
        return self._in_order()

    @property
    def done_seconds(self) -> float:
        """Audio that needs no further work: transcribed, given up or left out as silence, on all channels."""
        done = sum(seconds + self._skipped.get(chunk, 0.0) for chunk, seconds in self._chunk_seconds.items())
        return done / max(1, len(self._channels))

    @property
    def total_seconds(self) -> float | None:
        """Length of the recording, as far as it is known."""
        return self._total

    def _in_order(self) -> list[str]:
        ready = []
        while self._settled(self._next):
            ready.append(self._texts.get(self._next, ""))
            self._next += 1
        return [text for text in ready if text]

    def _settled(self, chunk: int) -> bool:
        """Whether the chunk has its outcome; a gap of an earlier attempt is being tried again."""
        return chunk in self._texts or (chunk in self.gaps and self.gaps[chunk].attempt >= self._attempt)
