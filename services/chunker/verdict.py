"""What went wrong, judged by what the decoder said and delivered: its exit code alone says nothing.

ffmpeg 5.1 ends with 0 after a file that was cut off, and even after no sound at all.
"""

import re

import msgspec

from services.chunker import problems
from services.chunker.promise import Promise
from services.contracts.inference import SAMPLE_RATE
from services.contracts.messages import Problem

TOLERANCE_SECONDS = 0.5
"""An encoder's delay and padding make a whole recording up to 0.1 s shorter than announced."""

_INPUT = re.compile(r"^Input #0, ([\w,]+), from", re.MULTILINE)
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)", re.MULTILINE)
_STREAM = re.compile(r"^  Stream #0:\d+\S*: (Audio|Video): (\w+)", re.MULTILINE)
_UNLISTED_CODEC = re.compile(r"Codec \((\w+)\) not on whitelist")
# Newer releases of ffmpeg put "in#0/" before the name of what reads the input.
_ENDS_EARLY = re.compile(
    r"^\[(?:in#0/)?(?:mov|matroska)\S* @ \w+\] (?:.*: partial file|File ended prematurely)", re.MULTILINE
)
_PARTIAL_PACKET = re.compile(r"^\[(?:in#0/)?aac @ \w+\] Packet corrupt", re.MULTILINE)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The decoder's words about its input, taken apart."""

    container: str | None
    seconds: float | None
    audio: tuple[str, ...]
    video: tuple[str, ...]
    unlisted_codecs: frozenset[str]
    ends_early: bool
    index_missing: bool
    out_of_memory: bool


def report(log: str) -> Report:
    """Read ffmpeg's stderr at log level info."""
    opened = _INPUT.search(log)
    container = opened[1] if opened else None
    streams = _STREAM.findall(log)
    return Report(
        container=container,
        seconds=_seconds(log),
        audio=tuple(codec for kind, codec in streams if kind == "Audio"),
        video=tuple(codec for kind, codec in streams if kind == "Video"),
        unlisted_codecs=frozenset(_UNLISTED_CODEC.findall(log)),
        ends_early=bool(_ENDS_EARLY.search(log) or (container == "aac" and _PARTIAL_PACKET.search(log))),
        index_missing="moov atom not found" in log,
        out_of_memory="Cannot add index entry" in log or "Cannot allocate memory" in log,
    )


def without_sound(said: Report) -> Problem:
    """Why not a single sample came of bytes that were there."""
    if said.index_missing:
        return problems.INDEX_MISSING
    if said.container is None:
        return problems.NOT_AUDIO
    if not said.audio:
        return problems.NO_SOUND_TRACK if said.video else problems.NOT_AUDIO
    return problems.UNKNOWN_CODEC if said.audio[0] in said.unlisted_codecs else problems.UNDECODABLE


def with_sound(said: Report, promise: Promise, samples: int, exit_code: int) -> Problem | None:
    """What the user should know of a recording that gave `samples`, None where all of it seems to be there.

    Not every format can tell: an Ogg file that was cut off looks like one that ends there.
    """
    if exit_code < 0 or said.out_of_memory:
        return problems.stopped(samples)
    promised = promise.seconds()
    if promised is None and said.container == "flac":
        promised = said.seconds
    delivered = samples / SAMPLE_RATE
    if promised is not None and delivered < promised - TOLERANCE_SECONDS:
        return problems.cut_short(samples, round(promised * SAMPLE_RATE))
    if said.ends_early or promise.ends_inside_frame():
        return problems.cut_short(samples)
    return problems.damaged(samples) if exit_code else None


def _seconds(log: str) -> float | None:
    found = _DURATION.search(log)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None
