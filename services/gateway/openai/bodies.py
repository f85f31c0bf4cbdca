"""Transcripts as bodies of answers, in each of OpenAI's formats."""

import math

import msgspec

from services.common import subtitles
from services.contracts.channels import told
from services.contracts.inference import SAMPLE_RATE, Segment, Task, Timestamps
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
from services.gateway.transcript import Transcript, seconds, segments_of, spaced

SEEK_SAMPLES = SAMPLE_RATE // 100
UNKNOWN_LANGUAGE = "unknown"
SPEAKERS = "ABCDEFGH"
"""By their channels; nobody tells apart those who speak on one."""
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
                return subtitles.srt(self.transcript.cues).encode()
            case Format.VTT:
                return subtitles.vtt(self.transcript.cues).encode()
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
                channel=told(chunk.channel),
            )
            for number, (chunk, segment) in enumerate(self.transcript.phrases)
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
            segments=[spoken.phrase(chunk, segment) for chunk, segment in heard.phrases],
            usage=self.usage,
            gaps=heard.gaps,
            notices=heard.notices,
        )


class Speaking:
    """Numbers the phrases one after the other."""

    def __init__(self) -> None:
        self._count = 0

    def segments(self, chunk: ChunkTranscribed) -> list[DiarizedSegment]:
        """The chunk's phrases."""
        return [self.phrase(chunk, segment) for segment in segments_of(chunk)]

    def phrase(self, chunk: ChunkTranscribed, segment: Segment) -> DiarizedSegment:
        """The next one, which is of this chunk."""
        self._count += 1
        return DiarizedSegment(
            id=f"seg_{self._count:03}",
            start=segment.start,
            end=segment.end,
            text=segment.text,
            speaker=SPEAKERS[chunk.channel or 0],
        )
