"""SIGTERM to every process under load: work is finished or handed over, and no client sees an error."""

import asyncio
from pathlib import Path

import pytest

from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.chaos import nuisances
from tests.chaos.cast import BROKER, Cast, Casting, cast, kind
from tests.chaos.matrix import Scale, corpus_of, leaked, left_over, performed
from tests.chaos.restarts import only_reconnects, reconnects, rolled

DRAIN_SECONDS = 10.0
CASTING = Casting(
    replicas={"auth": 2, "gateway": 2, "chunker": 2, "transcriber": 2},
    environ={"DRAIN_SECONDS": str(DRAIN_SECONDS)},
)
LARGE = Scale(jobs=12, longest_seconds=240.0, spread_seconds=20.0, casting=CASTING)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_rolling_restart_is_seen_by_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all kinds at once; `test_an_upgrade_is_seen_by_nobody` takes one kind after the other."""
    scale = LARGE
    files = corpus_of(scale, tmp_path / "corpus")
    endpoint = StandIn(seconds=2.0, capacity=2)
    async with (
        stand_in(endpoint, free_port()) as url,
        cast(tmp_path / "run", scale.casting, runtime_url=url) as running,
    ):
        restarting = asyncio.create_task(_restarted(running))
        outcome = await performed(running, scale, files, seed=1, until=restarting)
        assert set(restarting.result().values()) == {0}
        assert outcome.violations == []
        assert len(outcome.transcripts) == scale.jobs
        assert reconnects(outcome) > 0, "nobody was interrupted"
        assert outcome.begun_anew == set()
        assert [trouble for trouble in outcome.troubles if not only_reconnects(trouble)] == []
        chunks = sum(event.name == "text" for events in outcome.stored.values() for event in events)
        assert endpoint.calls == chunks, "a chunk that was in somebody's hand was sent again"
        left = [*await left_over(running, outcome), *await leaked(running)]
        found = f"{scale.jobs} jobs completed, no chunk sent twice, {reconnects(outcome)} reconnects"
        nuisances.keep("rolling restart", len(running.names()), found, left=len(left))
        assert left == []
        assert "nats_forbids" not in capsys.readouterr().err, "a right that was there before was missing"


async def _restarted(running: Cast) -> dict[str, int]:
    """Replace every process, all kinds at the same time; exit codes."""
    kinds = {kind(name) for name in running.names()}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rolled(running, one)) for one in sorted(kinds)]
    codes = {name: code for task in tasks for name, code in task.result().items()}
    del codes[BROKER]  # nats-server answers SIGTERM with an orderly end and exit code 1
    return codes
