"""Recordings for fault tests: seeded lengths in every format, all cut from one synthetic talk."""

import random
import subprocess
from pathlib import Path

import msgspec

from services.contracts.channels import Channels
from tests.speech import BLACK_PICTURE, FORMATS, recording

SHORTEST_SECONDS = 1.0
SPLIT = 0
"""Which of the recordings is a call: the longest."""
TALK_SHARE = 1.25
"""Length of the talk over that of the longest recording, so that none begins where another does."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One file: which stretch of the talk (seconds), and how it is written."""

    name: str
    fmt: str
    begin: float
    seconds: float
    channels: Channels = Channels.MIX
    """Split ones have two channels: beside the stretch another that begins half as late in the talk."""


def planned(count: int, longest_seconds: float, seed: int) -> tuple[Recording, ...]:
    """`count` recordings, as many short as long ones; the first two are the longest and the shortest."""
    chance = random.Random(seed)
    formats = list(FORMATS)
    lengths = [longest_seconds, SHORTEST_SECONDS]
    while len(lengths) < count:
        share = chance.random()
        lengths.append(round(SHORTEST_SECONDS * (longest_seconds / SHORTEST_SECONDS) ** share, 3))
    return tuple(
        Recording(
            name=f"{number:02d}-{seconds:.0f}s-{formats[number % len(formats)]}",
            fmt=formats[number % len(formats)],
            begin=round(chance.uniform(0, longest_seconds * TALK_SHARE - seconds), 3),
            seconds=seconds,
            channels=Channels.SPLIT if number == SPLIT else Channels.MIX,
        )
        for number, seconds in enumerate(lengths[:count])
    )


def made(recordings: tuple[Recording, ...], longest_seconds: float, seed: int, folder: Path) -> list[Path]:
    """The files of these recordings in `folder`; those of an earlier call are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    talk = folder / "talk.wav"
    if not talk.exists():
        recording(talk.with_suffix(".part"), seconds=longest_seconds * TALK_SHARE + 1, seed=seed, fmt="wav")
        talk.with_suffix(".part").rename(talk)
    return [_written(one, talk) for one in recordings]


def _written(wanted: Recording, talk: Path) -> Path:
    path = talk.with_name(wanted.name)
    if not path.exists():
        picture = BLACK_PICTURE if wanted.fmt == "mp4" else ()
        stretch = _stretch(wanted, wanted.begin, talk)
        if wanted.channels is Channels.SPLIT:
            stretch = (
                *stretch,
                *_stretch(wanted, wanted.begin / 2, talk),
                "-filter_complex",
                "amerge=inputs=2",
            )
        unfinished = talk.with_name(f"{wanted.name}.part")
        output = (*FORMATS[wanted.fmt], str(unfinished))
        subprocess.run(["ffmpeg", "-v", "error", "-y", *picture, *stretch, *output], check=True)
        unfinished.rename(path)
    return path


def _stretch(wanted: Recording, begin: float, talk: Path) -> tuple[str, ...]:
    return ("-ss", str(begin), "-t", str(wanted.seconds), "-i", str(talk))
