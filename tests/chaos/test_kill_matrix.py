"""The kill matrix in small: recordings in every format while every process dies at least once."""

from pathlib import Path

import pytest

from tests.chaos.cast import Casting
from tests.chaos.matrix import Scale, calm, corpus_of, storm

SMALL = Scale(
    jobs=10,
    longest_seconds=60.0,
    spread_seconds=18.0,
    kills=14,
    kill_seconds=20.0,
    limit_seconds=240.0,
    casting=Casting(
        replicas={"auth": 2, "gateway": 2, "chunker": 2, "transcriber": 2},
        endpoint_seconds=1.0,
        endpoint_capacity=2,
    ),
)


@pytest.mark.timeout(600)
async def test_random_kills_cost_nothing(tmp_path: Path) -> None:
    files = corpus_of(SMALL, tmp_path / "corpus")
    expected = await calm(SMALL, files, tmp_path / "calm")
    row = await storm(SMALL, files, expected, tmp_path / "storm", seed=1, say=print)
    assert row.violations == ()
    assert (row.ended, row.identical) == (SMALL.jobs, SMALL.jobs)
    assert sum(row.kills.values()) == SMALL.kills
    assert row.reconnects > 0
