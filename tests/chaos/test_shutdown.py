"""SIGTERM to every process under load: work is finished or handed over, and no client sees an error."""

import asyncio
import itertools
from pathlib import Path

import aiohttp
import pytest

from client.errors import Unavailable
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.chaos import nuisances
from tests.chaos.cast import BROKER, Cast, Casting, cast, kind
from tests.chaos.matrix import Outcome, Scale, corpus_of, leaked, left_over, performed

DRAIN_SECONDS = 10.0
GRACE_SECONDS = 30.0
"""What Kubernetes gives by default."""
CASTING = Casting(
    replicas={"auth": 2, "gateway": 2, "chunker": 2, "transcriber": 2},
    environ={"DRAIN_SECONDS": str(DRAIN_SECONDS)},
)
SMALL = Scale(jobs=5, longest_seconds=60.0, spread_seconds=10.0, casting=CASTING)
LARGE = Scale(jobs=12, longest_seconds=240.0, spread_seconds=20.0, casting=CASTING)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "scale", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["small", "large"]
)
async def test_a_rolling_restart_is_seen_by_nobody(
    tmp_path: Path, scale: Scale, capsys: pytest.CaptureFixture[str]
) -> None:
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
        assert _reconnects(outcome) > 0, "nobody was interrupted"
        assert outcome.begun_anew == set()
        assert [trouble for trouble in outcome.troubles if not _only_reconnects(trouble)] == []
        chunks = sum(event.name == "text" for events in outcome.stored.values() for event in events)
        assert endpoint.calls == chunks, "a chunk that was in somebody's hand was sent again"
        left = [*await left_over(running, outcome), *await leaked(running)]
        if scale is LARGE:
            found = f"{scale.jobs} jobs completed, no chunk sent twice, {_reconnects(outcome)} reconnects"
            nuisances.keep("rolling restart", len(running.names()), found, left=len(left))
        assert left == []
        assert "nats_forbids" not in capsys.readouterr().err, "a right that was there before was missing"


async def _restarted(running: Cast) -> dict[str, int]:
    """Replace every process, one of a kind after the other and all kinds at the same time; exit codes."""
    codes: dict[str, int] = {}

    async def rolled(names: list[str]) -> None:
        for name in names:
            codes[name] = await running.replace(name, GRACE_SECONDS)
            await running.ready()

    async with asyncio.TaskGroup() as group:
        for _, names in itertools.groupby(running.names(), key=kind):
            group.create_task(rolled(list(names)))
    del codes[BROKER]  # nats-server answers SIGTERM with an orderly end and exit code 1
    return codes


def _reconnects(outcome: Outcome) -> int:
    return sum(reader.reconnects for _, reader in outcome.readers)


def _only_reconnects(trouble: Unavailable) -> bool:
    """No connection, or a kept one that was closed before the server took the request."""
    return isinstance(trouble.__cause__, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
