"""Channels told apart: merged by time, labelled in every format, counted as one recording's progress."""

import msgspec
import pytest

from services.common.subtitles import srt, vtt
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
from services.gateway.event_views import named
from services.gateway.progress import Progress, View
from services.gateway.transcript import Transcript

PROBLEM = Problem(code="endpoint_failed", message="It failed.")


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def text(
    chunk: int, channel: int | None, *said: tuple[float, str], end: float = 30.0, language: str = "en"
) -> ChunkTranscribed:
    """A chunk with phrases of two seconds, each of one word."""
    on = {} if channel is None else {"channel": channel}
    return ChunkTranscribed(
        chunk=chunk,
        start=samples(said[0][0]),
        end=samples(end),
        text=" ".join(phrase for _, phrase in said),
        language=language,
        segments=tuple(Segment(start=at, end=at + 2, text=phrase, **on) for at, phrase in said),
        words=tuple(Word(start=at, end=at + 1, word=phrase, **on) for at, phrase in said),
        channel=channel,
    )


def of(*events: JobEvent) -> Transcript:
    made = Transcript()
    for event in events:
        made.add(event)
    return made


CALL = of(
    text(0, 0, (0.0, "Hello."), (6.0, "Fine."), (8.0, "And you?")),
    text(1, 1, (3.0, "How are you?"), (8.0, "Good."), (12.0, "<Bye> --> now.")),
)


def test_the_text_has_a_line_for_each_turn_with_its_label() -> None:
    assert CALL.text == (
        "Channel 1: Hello.\nChannel 2: How are you?\nChannel 1: Fine. And you?\n"
        "Channel 2: Good. <Bye> --> now."
    )


def test_segments_and_words_stand_in_the_order_of_time_with_their_channels() -> None:
    assert [(line.start, line.channel) for line in CALL.lines] == [
        (0.0, 0),
        (3.0, 1),
        (6.0, 0),
        (8.0, 0),
        (8.0, 1),
        (12.0, 1),
    ]
    assert CALL.words is not None
    assert [word.channel for word in CALL.words] == [0, 1, 0, 0, 1, 1]
    assert CALL.lines[0].text == "Hello."


def test_subtitles_carry_the_labels() -> None:
    assert "\n00:00:03,000 --> 00:00:05,000\nChannel 2: How are you?\n" in srt(CALL.cues)
    assert "Channel 2: &lt;Bye&gt; -&gt; now.\n" in vtt(CALL.cues)


def test_where_all_is_mixed_nothing_is_labelled_nor_even_named() -> None:
    mixed = of(text(1, None, (31.0, "two"), end=60), text(0, None, (0.0, "one")))
    assert mixed.text == "one two"
    assert [line.text for line in mixed.cues] == ["one", "two"]
    assert b"channel" not in msgspec.json.encode((mixed.lines, mixed.words, mixed.skipped, mixed.gaps))
    for event in (text(0, None, (0.0, "one")), failed(0, None, 0, 20), cut(0, None, 0, 20, skipped=3)):
        assert b"channel" not in msgspec.json.encode(named(event))


def test_a_phrase_without_words_gets_no_label() -> None:
    assert of(text(0, 0, (0.0, ""))).cues[0].text == ""
    assert of(text(0, 0, (0.0, ""))).text == ""


def test_the_text_of_a_chunk_without_segments_is_not_lost() -> None:
    bare = msgspec.structs.replace(text(0, 1, (2.0, "Hello."), end=9.0), segments=())
    assert of(bare).text == "Channel 2: Hello."
    assert [(line.start, line.end) for line in of(bare).cues] == [(2.0, 9.0)]


def test_each_language_is_joined_in_its_own_way() -> None:
    chinese = text(0, 0, (0.0, "你好。"), (2.0, "世界"), language="zh")
    english = text(1, 1, (5.0, "Hello"), (7.0, "world"))
    assert of(chinese, english).text == "Channel 1: 你好。世界\nChannel 2: Hello world"


def cut(chunk: int, channel: int | None, start: float, end: float, *, skipped: float = 0.0) -> ChunkCut:
    before = (Range(samples(start - skipped), samples(start)),) if skipped else ()
    return ChunkCut(
        chunk=chunk, start=samples(start), end=samples(end), skipped=before, channel=channel, source_bytes=500
    )


def failed(chunk: int, channel: int | None, start: float, end: float, attempt: int = 0) -> ChunkFailed:
    return ChunkFailed(
        chunk=chunk,
        start=samples(start),
        end=samples(end),
        attempt=attempt,
        problem=PROBLEM,
        channel=channel,
    )


def ended(seconds: float, attempt: int = 0) -> JobEnded:
    silent = (Range(0, samples(seconds)),)
    return JobEnded(
        state=JobState.COMPLETED,
        attempt=attempt,
        chunks=2,
        duration=samples(seconds),
        skipped_by_channel=((), silent),
    )


def test_gaps_and_silence_are_told_with_their_channels_in_the_order_of_time() -> None:
    found = of(
        cut(0, 0, 5, 20, skipped=5),
        cut(1, 1, 2, 25, skipped=2),
        failed(0, 0, 5, 20),
        failed(1, 1, 2, 25),
        ended(40),
    )
    assert [(gap.start, gap.channel) for gap in found.gaps] == [(2.0, 1), (5.0, 0)]
    assert [(one.start, one.end, one.channel) for one in found.skipped] == [
        (0.0, 5.0, 0),
        (0.0, 2.0, 1),
        (0.0, 40.0, 1),
    ]


@pytest.mark.parametrize(
    "event", [cut(3, 1, 5, 20, skipped=5), failed(3, 1, 5, 20), text(3, 1, (5.0, "Hi."))]
)
def test_events_tell_the_channel_in_every_part(event: JobEvent) -> None:
    data = msgspec.to_builtins(named(event)[1])
    assert data["channel"] == 1
    for part in ("segments", "words", "skipped"):
        assert all(one["channel"] == 1 for one in data.get(part, ()))


def test_the_end_tells_the_silence_of_each_channel() -> None:
    data = msgspec.to_builtins(named(ended(40))[1])
    assert data["skipped"] == [{"start": 0.0, "end": 40.0, "channel": 1}]


def view(*events: JobEvent, duration: float | None = None, attempt: int = 0) -> View:
    progress = Progress()
    for sequence, event in enumerate(events, start=1):
        progress.add(sequence, event, 0.0)
    return progress.view(1000, None if duration is None else samples(duration), attempt)


def test_one_of_two_channels_is_half_of_the_work() -> None:
    cuts = (cut(0, 0, 0, 20), cut(1, 1, 0, 20))
    assert view(*cuts).transcribed_seconds == 0.0
    half = view(*cuts, text(0, 0, (0.0, "a"), end=20))
    assert (half.total_seconds, half.transcribed_seconds, half.percent) == (40.0, 10.0, 25)
    whole = view(*cuts, text(0, 0, (0.0, "a"), end=20), text(1, 1, (0.0, "b"), end=20))
    assert (whole.transcribed_seconds, whole.percent, whole.chunks_done) == (20.0, 50, 2)


def test_a_silent_channel_holds_nothing_up() -> None:
    events = (cut(0, 1, 0, 20), text(0, 1, (0.0, "a"), end=20))
    assert view(*events).percent == 50
    assert view(*events, ended(20)).percent == 100


def test_a_channel_that_joins_late_has_nothing_to_make_up_for() -> None:
    late = (cut(0, 0, 0, 20), text(0, 0, (0.0, "a"), end=20), cut(1, 1, 580, 600, skipped=580))
    assert view(*late).transcribed_seconds == 590.0


def test_a_gap_that_is_tried_again_is_not_done() -> None:
    events = (
        cut(0, 0, 0, 20),
        cut(1, 1, 0, 20),
        text(0, 0, (0.0, "a"), end=20),
        failed(1, 1, 0, 20),
        ended(20),
    )
    again = view(*events, duration=20, attempt=1)
    assert (again.percent, again.transcribed_seconds, again.chunks_done) == (50, 10.0, 1)
    assert view(*events, text(1, 1, (0.0, "b"), end=20), ended(20, 1), attempt=1).percent == 100
