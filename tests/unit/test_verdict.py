"""What ffmpeg says is turned into a cause and a remedy; its exit code alone is not believed."""

import pytest

from services.chunker import problems
from services.chunker.promise import Promise
from services.chunker.verdict import report, with_sound, without_sound
from services.contracts.messages import Problem

INPUT = """Input #0, {container}, from 'pipe:0':
  Metadata:
    comment         : Duration: 99:00:00.00
  Duration: {duration}, start: 0.000000, bitrate: N/A
"""
AUDIO = "  Stream #0:{n}[0x1](und): Audio: {codec} (LC), 22050 Hz, mono, fltp, 80 kb/s (default)\n"
VIDEO = "  Stream #0:0[0x1](und): Video: h264 (High), none, 160x120, 14 kb/s\n"
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
SECOND = 16_000


def log(container: str = MP4, duration: str = "N/A", streams: str = AUDIO.format(n=0, codec="aac")) -> str:
    return INPUT.format(container=container, duration=duration) + streams


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("pipe:0: Invalid data found when processing input\n", problems.NOT_AUDIO),
        ("[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] moov atom not found\n", problems.INDEX_MISSING),
        (log(streams=VIDEO), problems.NO_SOUND_TRACK),
        (log(streams=""), problems.NOT_AUDIO),
        (log(), problems.UNDECODABLE),
        (
            "[cook @ 0x55] Codec (cook) not on whitelist 'aac'\n"
            + log(streams=AUDIO.format(n=0, codec="cook")),
            problems.UNKNOWN_CODEC,
        ),
        (
            "[h264 @ 0x55] Codec (h264) not on whitelist 'aac'\n"
            + log(streams=VIDEO + AUDIO.format(n=1, codec="aac")),
            problems.UNDECODABLE,
        ),
    ],
)
def test_no_sound_has_a_cause(said: str, expected: Problem) -> None:
    assert without_sound(report(said)) == expected


@pytest.mark.parametrize(
    "said",
    [
        log() + "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] stream 0, offset 0x12192c: partial file\n",
        log("matroska,webm") + "[matroska,webm @ 0x55] File ended prematurely\n",
        log("aac") + "[aac @ 0x55] Packet corrupt (stream = 0, dts = NOPTS).\n",
        log() + "[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] stream 0, offset 0x1aa96: partial file\n",
        log("matroska,webm") + "[in#0/matroska,webm @ 0x55] File ended prematurely\n",
        log("aac") + "[in#0/aac @ 0x55] Packet corrupt (stream = 0, dts = 358400).\n",
    ],
)
def test_a_file_that_ends_inside_its_sound_is_cut_short(said: str) -> None:
    problem = with_sound(report(said), Promise(), 125 * SECOND, 0)
    assert problem is not None
    assert problem.code == "cut_short"
    assert "02:05" in problem.message


def test_a_flac_shorter_than_announced_is_cut_short() -> None:
    problem = with_sound(report(log("flac", "01:03:15.22")), Promise(), 3661 * SECOND, 0)
    assert problem is not None
    assert "1:01:01 of 1:03:15" in problem.message


@pytest.mark.parametrize(
    "said",
    [
        log("flac", "00:02:05.20"),
        log(MP4, "00:09:00.00"),
        log("wav") + "[wav @ 0x55] Packet corrupt (stream = 0, dts = NOPTS).\n",
        log("ogg"),
    ],
)
def test_a_whole_file_has_no_problem(said: str) -> None:
    """The picture of a video may well go on after its sound, and a WAV from a pipe ends anywhere."""
    assert with_sound(report(said), Promise(), 125 * SECOND, 0) is None


@pytest.mark.parametrize(
    ("said", "exit_code"),
    [("", -9), ("[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] Cannot add index entry\n", 0)],
)
def test_a_decoder_that_hit_its_limits_was_stopped(said: str, exit_code: int) -> None:
    """Without room for its index a long M4A would end early, and look well."""
    problem = with_sound(report(log() + said), Promise(), 125 * SECOND, exit_code)
    assert problem is not None
    assert problem.code == "decoder_stopped"


def test_another_end_than_the_files_own_is_damage() -> None:
    problem = with_sound(report(log()), Promise(), 125 * SECOND, 69)
    assert problem is not None
    assert problem.code == "damaged"
