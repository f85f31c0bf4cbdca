"""Transcripts: order, joining, gaps and silence."""

from services.contracts.inference import SAMPLE_RATE, Segment, Word
from services.contracts.messages import (
    ChunkCut,
    ChunkFailed,
    ChunkTranscribed,
    JobEnded,
    JobEvent,
    JobState,
    Problem,
    Range,
)
from services.gateway.transcript import Gap, Stretch, Transcript

PROBLEM = Problem(code="endpoint_failed", message="It failed.")


def text(chunk: int, said: str, language: str = "en", **more: object) -> ChunkTranscribed:
    return ChunkTranscribed(
        chunk=chunk,
        start=chunk * 20 * SAMPLE_RATE,
        end=(chunk + 1) * 20 * SAMPLE_RATE,
        text=said,
        language=language,
        segments=(Segment(start=chunk * 20.0, end=chunk * 20.0 + 2.5, text=said),),
        **more,  # type: ignore[arg-type]
    )


def gap(chunk: int) -> ChunkFailed:
    start, end = chunk * 20 * SAMPLE_RATE, (chunk + 1) * 20 * SAMPLE_RATE
    return ChunkFailed(chunk=chunk, start=start, end=end, attempt=0, problem=PROBLEM)


def of(*events: JobEvent) -> Transcript:
    made = Transcript()
    for event in events:
        made.add(event)
    return made


def test_text_stands_in_the_order_of_the_recording() -> None:
    assert of(text(2, "three"), text(0, " one "), text(1, "two")).text == "one two three"


def test_chinese_is_joined_without_spaces() -> None:
    assert of(text(0, "你好。", "zh"), text(1, "世界", "zh")).text == "你好。世界"


def test_empty_chunks_add_nothing() -> None:
    assert of(text(0, "one"), text(1, "  "), text(2, "two")).text == "one two"


def test_the_language_is_that_of_most_text() -> None:
    assert of(text(0, "a", "fr"), text(1, "much longer", "en")).language == "en"
    assert of().language is None


def test_a_text_fills_the_gap_of_an_earlier_attempt() -> None:
    assert of(gap(0), gap(1), text(1, "late")).gaps == [Gap(start=0.0, end=20.0, error=PROBLEM)]


def test_silence_before_between_and_after_the_chunks() -> None:
    second = SAMPLE_RATE
    cut = ChunkCut(chunk=0, start=5 * second, end=20 * second, skipped=(Range(0, 5 * second),))
    end = JobEnded(
        state=JobState.COMPLETED,
        attempt=0,
        chunks=1,
        duration=30 * second,
        skipped=(Range(20 * second, 30 * second),),
    )
    assert of(cut, end).skipped == [Stretch(start=0.0, end=5.0), Stretch(start=20.0, end=30.0)]


def test_words_are_there_only_where_asked_for() -> None:
    word = Word(start=0.0, end=0.4, word="one")
    assert of(text(0, "one")).words is None
    assert of(text(0, "one", words=(word,)), text(1, "two")).words == [word]


def test_a_notice_of_every_chunk_is_told_once() -> None:
    notices = ("No language.", "No temperature.")
    told = of(text(0, "one", notices=notices[:1]), text(1, "two", notices=notices)).notices
    assert told == list(notices)
