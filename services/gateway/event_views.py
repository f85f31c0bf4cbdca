"""Events as the API sends them: names and shapes, times in seconds."""

from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobRecord,
    JobState,
    Problem,
    Range,
)
from services.gateway.transcript import seconds, stretches

Shape = dict[str, object]


def named(event: JobEvent) -> tuple[str, Shape]:
    """An event's name and data."""
    match event:
        case ChunkCut():
            return "cut", {**_place(event), "skipped": stretches(event.skipped)}
        case ChunkTranscribed():
            return "text", {
                **_place(event),
                "text": event.text,
                "language": event.language,
                "segments": event.segments,
                "words": event.words,
                "hotwords": event.hotwords,
                "notices": event.notices,
            }
        case ChunkFailed():
            return "gap", {**_place(event), "attempt": event.attempt, "error": event.problem}
        case JobEnded():
            return "end", _end(event.state, event.duration, event.chunks, event.skipped, event.problem)


def end_of_record(record: JobRecord) -> Shape:
    """The end of a job whose events are gone."""
    return _end(record.state, record.duration or 0, 0, (), record.problem)


def _place(event: ChunkCut | ChunkTranscribed | ChunkFailed) -> Shape:
    return {"chunk": event.chunk, "start": seconds(event.start), "end": seconds(event.end)}


def _end(
    state: JobState, duration: int, chunks: int, skipped: tuple[Range, ...], problem: Problem | None
) -> Shape:
    completed = state is JobState.COMPLETED
    return {
        "status": state,
        "duration": seconds(duration),
        "chunks": chunks,
        "skipped": stretches(skipped),
        "error": None if completed else problem,
        "notice": problem if completed else None,
    }
