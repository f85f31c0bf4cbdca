"""Subtitles: times, and what a cue must not hold."""

from services.common.subtitles import srt, vtt
from services.gateway.transcript import Line


def test_srt() -> None:
    lines = [
        Line(start=0.0, end=2.5, text="One --> two", chunk=0),
        Line(start=2.5, end=3.0, text="", chunk=0),
        Line(start=3661.0005, end=3662.9996, text="two\n\nlines", chunk=1),
    ]
    assert srt(lines) == (
        "1\n00:00:00,000 --> 00:00:02,500\nOne -> two\n\n2\n01:01:01,000 --> 01:01:03,000\ntwo lines\n\n"
    )


def test_vtt_escapes_what_would_be_markup() -> None:
    lines = [Line(start=0.0, end=1.0, text="a < b & <i>c</i>", chunk=0)]
    assert vtt(lines) == ("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt; b &amp; &lt;i&gt;c&lt;/i&gt;\n\n")
