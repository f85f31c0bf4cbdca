"""Events as the API sends them: names and shapes, times in seconds."""

from typing import TypedDict

import msgspec

from services.contracts.channels import Channel, told
from services.contracts.hotwords import HotwordsReport
from services.contracts.inference import Segment, Word
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobRecord,
    JobState,
    Problem,
)
from services.gateway.transcript import Stretch, seconds, skipped_at_end, stretches


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of one chunk, and the stretches without speech before it."""

    chunk: int
    start: float
    end: float
    skipped: list[Stretch]
    channel: Channel = msgspec.UNSET


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one chunk."""

    chunk: int
    start: float
    end: float
    text: str
    language: str
    segments: tuple[Segment, ...]
    words: tuple[Word, ...] | None
    hotwords: HotwordsReport | None
    hotwords_revision: int
    """Of the job's hotwords as this chunk had them."""
    notices: tuple[str, ...]
    channel: Channel = msgspec.UNSET


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """No text for this stretch, and why."""

    chunk: int
    start: float
    end: float
    attempt: int
    error: Problem
    channel: Channel = msgspec.UNSET


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of an attempt."""

    status: JobState
    duration: float
    chunks: int
    skipped: list[Stretch]
    error: Problem | None
    notice: Problem | None


EventView = Cut | Text | Failed | End


class Place(TypedDict):
    """Where a chunk stands."""

    chunk: int
    start: float
    end: float
    channel: Channel


def named(event: JobEvent) -> tuple[str, EventView]:
    """An event's name and data."""
    match event:
        case ChunkCut():
            return "cut", Cut(**_place(event), skipped=stretches(event.skipped, event.channel))
        case ChunkTranscribed():
            return "text", Text(
                **_place(event),
                text=event.text,
                language=event.language,
                segments=event.segments,
                words=event.words,
                hotwords=event.hotwords,
                hotwords_revision=event.hotwords_revision,
                notices=event.notices,
            )
        case ChunkFailed():
            return "gap", Failed(**_place(event), attempt=event.attempt, error=event.problem)
        case JobEnded():
            return "end", _end(
                event.state, event.duration, event.chunks, skipped_at_end(event), event.problem
            )


def end_of_record(record: JobRecord) -> End:
    """The end of a job whose events are gone."""
    return _end(record.state, record.duration or 0, 0, [], record.problem)


def _place(event: ChunkCut | ChunkTranscribed | ChunkFailed) -> Place:
    return {
        "chunk": event.chunk,
        "start": seconds(event.start),
        "end": seconds(event.end),
        "channel": told(event.channel),
    }


def _end(state: JobState, duration: int, chunks: int, skipped: list[Stretch], problem: Problem | None) -> End:
    completed = state is JobState.COMPLETED
    return End(
        status=state,
        duration=seconds(duration),
        chunks=chunks,
        skipped=skipped,
        error=None if completed else problem,
        notice=problem if completed else None,
    )
