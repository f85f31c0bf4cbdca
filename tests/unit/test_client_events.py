"""The client's reading of server-sent events, and how it puts a job's events together."""

import io

import pytest
from rich.console import Console

from client.answers import Cut, End, Gap, Job, Problem, Progress, Range, Text, Upload
from client.command.display import Display
from client.command.times import clock
from client.errors import Refused
from client.events import MAX_EVENT_BYTES, RawEvent, parse
from client.reading import Reading

STREAM = (
    ": hello\n\n"
    'event: job\ndata: {"id": 1}\n\n'
    'event: text\nid: 7\ndata: {"text": "naïve 字"}\n\n'
    ": still here\n\n"
    "id: 8\nevent: end\ndata: a\ndata: b\n\n"
).encode()
EXPECTED = [
    RawEvent("job", '{"id": 1}'),
    RawEvent("text", '{"text": "naïve 字"}', "7"),
    RawEvent("end", "a\nb", "8"),
]


def parsed(pieces: list[bytes]) -> list[RawEvent]:
    found, rest = [], b""
    for piece in pieces:
        new, rest = parse(rest, piece)
        found += new
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_events_are_the_same_in_pieces_of_any_size(size: int, line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    assert parsed([stream[at : at + size] for at in range(0, len(stream), size)]) == EXPECTED


def test_an_event_waits_for_its_blank_line() -> None:
    found, rest = parse(b"", b"event: text\ndata: x\n")
    assert found == []
    assert parse(rest, b"\n") == ([RawEvent("text", "x")], b"")


def test_comments_alone_are_no_event() -> None:
    assert parse(b"", b": a\n\n: b\n\n") == ([], b"")


def test_an_event_without_a_name_is_a_message() -> None:
    assert parse(b"", b"data:x\n\n")[0] == [RawEvent("message", "x")]


def test_a_line_separator_inside_data_does_not_end_the_line() -> None:
    assert parse(b"", "data: a\u2028b\x0bc\n\n".encode())[0] == [RawEvent("message", "a\u2028b\x0bc")]


def test_endless_data_is_refused() -> None:
    with pytest.raises(Refused, match="without an end"):
        parse(b"data: ", b"x" * MAX_EVENT_BYTES)


def text(chunk: int, words: str) -> Text:
    return Text(chunk, chunk * 10.0, chunk * 10.0 + 10, words)


def gap(chunk: int, attempt: int = 0) -> Gap:
    return Gap(chunk, chunk * 10.0, chunk * 10.0 + 10, Problem("model", "the endpoint failed"), attempt)


def test_texts_come_out_in_the_order_of_the_recording() -> None:
    reading = Reading()
    shown = [reading.take(text(chunk, f"t{chunk}")) for chunk in (1, 2, 0, 3)]
    assert shown == [[], [], ["t0", "t1", "t2"], ["t3"]]


def test_a_gap_lets_the_texts_after_it_pass() -> None:
    reading = Reading()
    assert reading.take(text(1, "after")) == []
    assert reading.take(gap(0)) == ["after"]
    assert list(reading.gaps) == [0]


def test_a_text_that_comes_later_fills_its_gap() -> None:
    reading = Reading()
    reading.take(gap(0))
    reading.take(text(0, "after all"))
    assert reading.gaps == {}
    reading.take(gap(0))  # an earlier attempt's, read late
    assert reading.gaps == {}


def test_a_gap_that_is_tried_again_is_waited_for() -> None:
    reading = Reading()
    reading.take(Job("id", "running", Upload("stored"), attempt=1))
    assert reading.take(gap(0)) == []
    assert reading.take(text(1, "after")) == []
    assert (list(reading.gaps), reading.done_seconds) == ([0], 10.0)
    assert reading.take(gap(0, attempt=1)) == ["after"]
    assert (list(reading.gaps), reading.done_seconds) == ([0], 20.0)


def test_progress_counts_text_and_silence_left_out() -> None:
    reading = Reading()
    reading.take(Job("id", "running", Upload("receiving"), progress=Progress(total_seconds=100.0)))
    reading.take(Cut(0, 5.0, 15.0, (Range(0.0, 5.0),)))
    assert reading.done_seconds == 0
    reading.take(Text(0, 5.0, 15.0, "x"))
    assert (reading.done_seconds, reading.total_seconds) == (15.0, 100.0)
    reading.take(End("completed", duration=90.0))
    assert reading.total_seconds == 90.0


def test_progress_counts_channels_that_are_split_as_one_recording() -> None:
    reading = Reading()
    for channel in (0, 1):
        reading.take(Cut(channel, 0.0, 10.0, channel=channel))
    assert reading.take(Text(0, 0.0, 10.0, "x", channel=0)) == ["Channel 1: x"]
    assert reading.done_seconds == 5.0
    reading.take(Text(1, 0.0, 10.0, "y", channel=1))
    assert reading.done_seconds == 10.0


def test_a_terminal_shows_texts_as_they_are() -> None:
    """Square brackets are rich's markup; in a transcript they are text."""
    screen, reading = io.StringIO(), Reading()
    with Display(quiet=False, console=Console(file=screen, force_terminal=True, width=80)) as display:
        display.uploaded(500_000, 1_000_000)
        display.heard(text(0, "x"), reading, ["[bold]he said[/bold]", "yes"])
    assert "[bold]he said[/bold]" in screen.getvalue()
    assert "0.5 of 1.0 MB" in screen.getvalue()


def test_a_file_gets_no_bars_and_no_text() -> None:
    lines, reading = io.StringIO(), Reading()
    with Display(quiet=False, console=Console(file=lines)) as display:
        display.uploaded(1, 2)
        display.heard(text(0, "words"), reading, reading.take(text(0, "words")))
        display.say("done")
    assert lines.getvalue() == "done\n"


def test_clock_has_hours_only_where_they_are() -> None:
    assert [clock(seconds) for seconds in (0, 751.9, 3723)] == ["0:00", "12:31", "1:02:03"]
