"""Transcripts as bodies of answers, in each of OpenAI's formats."""

import math

import msgspec

from services.common import subtitles
from services.contracts.inference import SAMPLE_RATE, Task, Timestamps
from services.contracts.languages import name_of
from services.contracts.messages import ChunkTranscribed, JobOptions
from services.gateway.openai.fields import Format, Wanted
from services.gateway.openai.shapes import (
    DiarizedSegment,
    DiarizedTranscription,
    TextDone,
    Transcription,
    Usage,
    VerboseSegment,
    VerboseTranscription,
)
from services.gateway.transcript import Transcript, seconds, spaced

SEEK_SAMPLES = SAMPLE_RATE // 100
UNKNOWN_LANGUAGE = "unknown"
SPEAKER = "A"
"""Nobody tells speakers apart."""
TYPES = {Format.TEXT: "text/plain", Format.SRT: "text/plain", Format.VTT: "text/vtt"}
JSON_TYPE = "application/json"


class Rendering(msgspec.Struct, frozen=True):
    """One transcript, once its job has ended."""

    transcript: Transcript
    options: JobOptions
    wanted: Wanted

    def body(self) -> bytes:
        """In the format that is wanted."""
        match self.wanted.format:
            case Format.TEXT:
                return (self.transcript.text + "\n").encode()
            case Format.SRT:
                return subtitles.srt(self.transcript.lines).encode()
            case Format.VTT:
                return subtitles.vtt(self.transcript.lines).encode()
            case Format.VERBOSE_JSON:
                return msgspec.json.encode(self._verbose())
            case Format.DIARIZED_JSON:
                return msgspec.json.encode(self._diarized())
            case Format.JSON:
                return msgspec.json.encode(self._json())

    def done(self, text: str) -> TextDone:
        """The last event, after deltas that add up to this text."""
        heard = self.transcript
        return TextDone(
            text=text,
            usage=self.usage,
            language=self.language,
            duration=self.duration,
            segments=self.segments(),
            words=msgspec.UNSET if heard.words is None else heard.words,
            gaps=heard.gaps or msgspec.UNSET,
            notices=heard.notices or msgspec.UNSET,
        )

    @property
    def usage(self) -> Usage:
        """What it cost."""
        return Usage(seconds=math.ceil(self.duration))

    @property
    def duration(self) -> float:
        """Of the recording."""
        ended = self.transcript.ended
        return seconds(ended.duration) if ended else 0.0

    @property
    def language(self) -> str:
        """The English name of the language that the text is in."""
        if self.options.task is Task.TRANSLATE:
            return name_of("en")
        code = self.transcript.language or self.options.language
        return name_of(code) if code else UNKNOWN_LANGUAGE

    def segments(self) -> list[VerboseSegment]:
        """The phrases of all chunks."""
        return [
            VerboseSegment(
                id=number,
                seek=chunk.start // SEEK_SAMPLES,
                start=segment.start,
                end=segment.end,
                text=spaced(segment.text, chunk.language),
                tokens=[],
                temperature=self.options.temperature,
                avg_logprob=segment.avg_logprob,
                compression_ratio=segment.compression_ratio,
                no_speech_prob=segment.no_speech_prob,
            )
            for number, (chunk, segment) in enumerate(
                (chunk, segment) for chunk in self.transcript.chunks for segment in chunk.segments
            )
        ]

    def _json(self) -> Transcription:
        heard = self.transcript
        return Transcription(text=heard.text, usage=self.usage, gaps=heard.gaps, notices=heard.notices)

    def _verbose(self) -> VerboseTranscription:
        heard, units = self.transcript, self.wanted.units
        words = heard.words or [] if Timestamps.WORD in units else msgspec.UNSET
        return VerboseTranscription(
            task=self.options.task,
            language=self.language,
            duration=self.duration,
            text=heard.text,
            usage=self.usage,
            segments=self.segments() if Timestamps.SEGMENT in units else msgspec.UNSET,
            words=words,
            gaps=heard.gaps,
            notices=heard.notices,
        )

    def _diarized(self) -> DiarizedTranscription:
        heard, spoken = self.transcript, Speaking()
        return DiarizedTranscription(
            task=self.options.task,
            duration=self.duration,
            text=heard.text,
            segments=[segment for chunk in heard.chunks for segment in spoken.segments(chunk)],
            usage=self.usage,
            gaps=heard.gaps,
            notices=heard.notices,
        )


class Speaking:
    """Numbers the phrases of one chunk after the other."""

    def __init__(self) -> None:
        self._count = 0

    def segments(self, chunk: ChunkTranscribed) -> list[DiarizedSegment]:
        """The chunk's phrases."""
        first, self._count = self._count + 1, self._count + len(chunk.segments)
        return [
            DiarizedSegment(
                id=f"seg_{number:03}",
                start=segment.start,
                end=segment.end,
                text=segment.text,
                speaker=SPEAKER,
            )
            for number, segment in enumerate(chunk.segments, first)
        ]
