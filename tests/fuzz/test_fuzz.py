"""A small part of `make fuzz`: damaged and hostile files through a whole system achieve nothing."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzzed
from tests.fuzz.mutations import MUTATIONS, damaged, good_files
from tests.fuzz.watch import trespasses
from tests.speech import FORMATS

FILES = 20
"""Besides some fifty that are made by hand."""


@pytest.mark.timeout(600)
async def test_hostile_files_achieve_nothing(tmp_path: Path) -> None:
    outcome = await fuzzed(tmp_path, files=FILES, seed=7, large=False)
    assert outcome.violations == []
    assert sum(tally.files for tally in outcome.kinds.values()) > FILES + 50
    assert outcome.identical == outcome.honest > 5
    assert outcome.calls > 1000


def test_good_files_are_the_same_every_time(tmp_path: Path) -> None:
    assert good_files(tmp_path / "one") == good_files(tmp_path / "two")


def test_the_same_seed_makes_the_same_files() -> None:
    good = {fmt: random.Random(fmt).randbytes(5000) for fmt in FORMATS}
    count = len(FORMATS) * len(MUTATIONS)
    files = list(damaged(good, count, seed=1))
    assert files == list(damaged(good, count, seed=1))
    assert {(one.fmt, one.mutation) for one in files} == {
        (fmt, name) for fmt in FORMATS for name in MUTATIONS
    }
    assert all(one.data != good[one.fmt] for one in files)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('7<ffmpeg> openat(AT_FDCWD, "/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY|O_CLOEXEC) = 3', False),
        ('7<ffmpeg> openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = -1 EACCES (Permission denied)', False),
        ('7<ffmpeg> openat(AT_FDCWD, "/dev/fd/0", O_RDONLY) = 3', False),
        ('7<ffmpeg> openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3', True),
        ('7<ffmpeg> openat(AT_FDCWD, "/usr/lib/../../etc/passwd", O_RDONLY) = 3', True),
        ("7<ffmpeg> socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3", True),
        ("7<ffmpeg> connect(3, {sa_family=AF_INET}, 16) = -1 ECONNREFUSED (Connection refused)", True),
        ("7<python> socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3", False),
    ],
)
def test_a_trespass_is_recognized(line: str, wrong: bool) -> None:
    assert bool(trespasses([line])[1]) == wrong
