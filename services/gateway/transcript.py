"""The words of a job so far, put in order from its events."""

from collections.abc import Iterable
from enum import StrEnum
from itertools import groupby

import msgspec

from services.contracts.channels import Channel, told
from services.contracts.inference import SAMPLE_RATE, Segment, Word
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobRecord,
    Problem,
    Range,
)
from services.gateway.channels import labelled, merged
from services.gateway.hotword_sum import HotwordsSum, summed

UNSPACED = ("zh", "ja", "yue", "th", "lo", "km", "my", "bo")
"""Languages written without spaces between sentences."""


class Format(StrEnum):
    """How a transcript can be had."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A range of the recording in seconds."""

    start: float
    end: float
    channel: Channel = msgspec.UNSET


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A range without text, and why."""

    start: float
    end: float
    error: Problem
    channel: Channel = msgspec.UNSET


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One phrase with its times in seconds."""

    start: float
    end: float
    text: str
    chunk: int
    channel: Channel = msgspec.UNSET


class Transcript:
    """Collects events in any order; everything it tells is in the order of the recording."""

    def __init__(self) -> None:
        self._cuts: dict[int, ChunkCut] = {}
        self._texts: dict[int, ChunkTranscribed] = {}
        self._gaps: dict[int, ChunkFailed] = {}
        self.ended: JobEnded | None = None

    def add(self, event: JobEvent) -> None:
        """Take one event in; a later text fills the gap an earlier attempt left."""
        match event:
            case ChunkCut():
                self._cuts[event.chunk] = event
            case ChunkTranscribed():
                self._texts[event.chunk] = event
            case ChunkFailed():
                self._gaps[event.chunk] = event
            case JobEnded():
                self.ended = event

    @property
    def chunks(self) -> list[ChunkTranscribed]:
        """The chunks that have their text, in order."""
        return [self._texts[number] for number in sorted(self._texts)]

    def chunk(self, number: int, attempt: int) -> ChunkTranscribed | ChunkFailed | None:
        """What became of a chunk: its text, or the failure of this attempt; None while that is open."""
        gap = self._gaps.get(number)
        return self._texts.get(number) or (gap if gap and gap.attempt >= attempt else None)

    @property
    def phrases(self) -> list[tuple[ChunkTranscribed, Segment]]:
        """The segments of all chunks, each with its chunk; those of several channels in the order of time."""
        found = [(chunk, segment) for chunk in self.chunks for segment in segments_of(chunk)]
        if not found or found[0][0].channel is None:
            return found
        return sorted(found, key=lambda phrase: (phrase[1].start, phrase[0].channel))

    @property
    def text(self) -> str:
        """Everything said so far; a line for each turn, with its label, where channels are apart."""
        chunks = self.chunks
        if not chunks or chunks[0].channel is None:
            return joined((chunk.text, chunk.language) for chunk in chunks)
        spoken = (phrase for phrase in self.phrases if phrase[1].text.strip())
        turns = groupby(spoken, key=lambda phrase: phrase[0].channel)
        return "\n".join(
            labelled(joined((segment.text, chunk.language) for chunk, segment in turn), told(channel))
            for channel, turn in turns
        )

    @property
    def language(self) -> str | None:
        """The language most of the text is in."""
        spoken: dict[str, int] = {}
        for chunk in self.chunks:
            spoken[chunk.language] = spoken.get(chunk.language, 0) + len(chunk.text)
        return max(spoken, key=lambda code: spoken[code]) if spoken else None

    @property
    def lines(self) -> list[Line]:
        """The same as the API tells them."""
        return [
            Line(
                start=segment.start,
                end=segment.end,
                text=segment.text.strip(),
                chunk=chunk.chunk,
                channel=told(chunk.channel),
            )
            for chunk, segment in self.phrases
        ]

    @property
    def cues(self) -> list[Line]:
        """The lines as they are read with nothing beside them: with their labels."""
        return [msgspec.structs.replace(line, text=labelled(line.text, line.channel)) for line in self.lines]

    @property
    def words(self) -> list[Word] | None:
        """The words of all chunks, None where no times of words were asked for."""
        timed = [chunk.words for chunk in self.chunks if chunk.words is not None]
        return merged([word for words in timed for word in words]) if timed else None

    @property
    def gaps(self) -> list[Gap]:
        """Stretches that failed and have no text since."""
        missing = sorted(self._gaps.keys() - self._texts.keys())
        return merged([_gap(self._gaps[number]) for number in missing])

    @property
    def skipped(self) -> list[Stretch]:
        """Stretches without speech."""
        cuts = [self._cuts[number] for number in sorted(self._cuts)]
        before = [silence for cut in cuts for silence in stretches(cut.skipped, cut.channel)]
        return merged(before + (skipped_at_end(self.ended) if self.ended else []))

    @property
    def notices(self) -> list[str]:
        """What the job asked for and the endpoint could not do, each once."""
        return list(dict.fromkeys(notice for chunk in self.chunks for notice in chunk.notices))

    def hotwords(self, record: JobRecord) -> HotwordsSum | None:
        """What became of the hotwords of this job, over all chunks."""
        return summed(record, self.chunks)


def seconds(samples: int) -> float:
    """Samples as seconds, to the millisecond."""
    return round(samples / SAMPLE_RATE, 3)


def stretches(ranges: tuple[Range, ...], channel: int | None = None) -> list[Stretch]:
    """Ranges of samples in seconds."""
    return [
        Stretch(start=seconds(silence.start), end=seconds(silence.end), channel=told(channel))
        for silence in ranges
    ]


def skipped_at_end(end: JobEnded) -> list[Stretch]:
    """Stretches without speech after the last chunk, or after the last one of each channel."""
    apart = enumerate(end.skipped_by_channel)
    return stretches(end.skipped) + [
        silence for channel, ranges in apart for silence in stretches(ranges, channel)
    ]


def segments_of(chunk: ChunkTranscribed) -> tuple[Segment, ...]:
    """Some endpoints give none: the text of a channel, which is told by segments, is then one."""
    if chunk.segments or chunk.channel is None:
        return chunk.segments
    return (
        Segment(start=seconds(chunk.start), end=seconds(chunk.end), text=chunk.text, channel=chunk.channel),
    )


def joined(texts: Iterable[tuple[str, str]]) -> str:
    """Texts one after the other, each with its language: a space between, except where none is written."""
    whole = ""
    for text, language in texts:
        whole += following(text, language, begun=bool(whole))
    return whole


def following(text: str, language: str, *, begun: bool) -> str:
    """A text as it is added to what stands before it, if anything does."""
    piece = text.strip()
    return spaced(piece, language) if piece and begun else piece


def spaced(piece: str, language: str) -> str:
    """With a space before it, where the language is written with any."""
    return piece if language in UNSPACED else f" {piece}"


def _gap(gap: ChunkFailed) -> Gap:
    return Gap(start=seconds(gap.start), end=seconds(gap.end), error=gap.problem, channel=told(gap.channel))
