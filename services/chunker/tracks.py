"""The channels of one recording: each is heard and cut on its own, and their chunks are numbered together.

With block and channel as the order, every number depends on positions in the recording alone. So a chunker
that knows the first cuts of another one goes on with the numbers that it would have given.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import msgspec
import numpy as np

from services.chunker.cutting import Chunk, Cutter, Samples
from services.chunker.speech import SpeechDetector, SpeechModel
from services.contracts.messages import ChunkCut, Range


class Numbered(msgspec.Struct, frozen=True):
    """A chunk in its place; without a channel where all are mixed."""

    number: int
    channel: int | None
    chunk: Chunk


class Tracks:
    """Takes a recording's blocks in order and gives the chunks of all its channels.

    A chunk with the very samples of one on a lower channel is left out like silence: mono recordings in two
    channels are common, and their text is wanted once.
    """

    def __init__(
        self, model: SpeechModel, *, split: bool, skip_silence: bool, stored: Sequence[ChunkCut]
    ) -> None:
        """`stored` are the cuts of chunks 0, 1, ... made before; they are repeated exactly."""
        self._model = model
        self._split = split
        self._skip_silence = skip_silence
        self._stored = stored
        self._numbers = count(len(stored))
        self._tracks: list[_Track] = []

    def feed(self, block: Samples) -> list[Numbered]:
        """The chunks that are certain after `block` (n, channels)."""
        if not self._tracks:
            self._tracks = [self._track(channel) for channel in range(block.shape[1])]
        heard = (track.feed(block[:, channel]) for channel, track in enumerate(self._tracks))
        return self._numbered(list(heard))

    def finish(self) -> list[Numbered]:
        """The last chunks, after the last block."""
        return self._numbered([track.cutter.finish() for track in self._tracks])

    @property
    def skipped(self) -> tuple[tuple[Range, ...], ...]:
        """What was left out after the last chunk of each channel; known once all is finished."""
        return tuple(track.skipped for track in self._tracks)

    def _track(self, channel: int) -> "_Track":
        stored = [cut for cut in self._stored if not self._split or cut.channel == channel]
        return _Track(SpeechDetector(self._model), Cutter(skip_silence=self._skip_silence, stored=stored))

    def _numbered(self, found: list[list[Chunk]]) -> list[Numbered]:
        numbered: list[Numbered] = []
        for channel, (track, chunks) in enumerate(zip(self._tracks, found, strict=True)):
            lower = [chunk for others in found[:channel] for chunk in others]
            for chunk in track.without_copies(chunks, lower):
                number = next(self._numbers) if chunk.number is None else chunk.number
                numbered.append(Numbered(number, channel if self._split else None, chunk))
        return numbered


class _Track:
    """One channel."""

    def __init__(self, detector: SpeechDetector, cutter: Cutter) -> None:
        self.cutter = cutter
        self._detector = detector
        self._copied_from: int | None = None
        """Sample where what was left out as a copy begins, since the last chunk."""

    def feed(self, samples: Samples) -> list[Chunk]:
        own = np.ascontiguousarray(samples, np.int16)
        return self.cutter.feed(own, self._detector.probabilities(own))

    @property
    def skipped(self) -> tuple[Range, ...]:
        return self._with_copies(self.cutter.skipped, self.cutter.samples)

    def without_copies(self, chunks: list[Chunk], originals: list[Chunk]) -> Iterator[Chunk]:
        """Those of `chunks` that are not, sample by sample, among `originals`; stored ones stay."""
        for chunk in chunks:
            if chunk.number is None and any(_same(chunk, original) for original in originals):
                begin = chunk.skipped[0].start if chunk.skipped else chunk.start
                self._copied_from = begin if self._copied_from is None else self._copied_from
                continue
            skipped = (
                chunk.skipped if chunk.number is not None else self._with_copies(chunk.skipped, chunk.start)
            )
            self._copied_from = None
            yield msgspec.structs.replace(chunk, skipped=skipped)

    def _with_copies(self, skipped: tuple[Range, ...], end: int) -> tuple[Range, ...]:
        return skipped if self._copied_from is None else (Range(self._copied_from, end),)


def _same(chunk: Chunk, other: Chunk) -> bool:
    place, others = (chunk.start, chunk.end), (other.start, other.end)
    return place == others and chunk.audio.raw_data == other.audio.raw_data
