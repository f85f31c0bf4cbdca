"""Chunkers and transcribers come and go with the load as in a cluster: real ones, by the real lag.

A minute of the autoscalers lasts a second here, or less, so that processes take a minute and more to start by
their measure: longer than a pod does.
"""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from services.contracts.topology import CHUNKERS, WAITING
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.api import Api
from tests.charts.autoscaled import LIMIT_SECONDS, Cluster, cluster
from tests.charts.held import Held
from tests.charts.keda import lives
from tests.charts.lag import lags
from tests.charts.scaling import scaled_objects
from tests.speech import recording

PACE = 60.0
HASTE = 90.0
"""Where the load comes at once and goes at once, most of the time is waiting for nobody to be needed."""
SPECS = scaled_objects()
PLACES = int(SPECS["transcriber"].target)
"""Of one transcriber."""
JOBS_EACH = 8
"""Of two users at once: more than two chunkers take, and as many chunks as two transcribers do."""


async def test_from_nobody_to_as_many_as_needed_and_back(tmp_path: Path) -> None:
    short = tmp_path / "short.mp3"
    recording(short, seconds=20, seed=1, fmt="mp3")
    endpoint = Held(seconds=0.1, capacity=SPECS["transcriber"].most * PLACES)
    async with (
        stand_in(endpoint, free_port()) as url,
        cluster(tmp_path / "stack", SPECS, url, pace=HASTE, user_jobs=JOBS_EACH) as (scaled, users),
    ):
        endpoint.free.set()
        await one_job_of_an_idle_system(scaled, users[0], short)
        endpoint.free.clear()
        async with scaled.scaled():
            sent = [(user, await submitted(user, short)) for user in users for _ in range(JOBS_EACH)]
            await scaled.until(lambda: endpoint.held == 2 * PLACES)
            wanted = {service: scaler.replicas for service, scaler in scaled.scalers.items()}
            endpoint.free.set()
            await asyncio.gather(*(completed(user, job) for user, job in sent))
            await scaled.until_idle()
        assert wanted["transcriber"] == 2
        assert max(count for _, count in scaled.scalers["chunker"].history) == 3
        await all_in_order(scaled)


async def one_job_of_an_idle_system(scaled: Cluster, user: Api, short: Path) -> None:
    """It waits for a place, which only a chunker could give it."""
    job = await submitted(user, short)
    found = await lags(scaled.server)
    assert found[WAITING.name] == 1, "what waits is all there is to see"
    assert [found[consumer.name] for consumer in CHUNKERS.values()] == [0, 0, 0]
    async with scaled.scaled():
        await completed(user, job)
        await scaled.until_idle()
    for scaler in scaled.scalers.values():
        assert [count for _, count in scaler.history] == [1, 0], "one job needs one of each"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_load_that_swells_twice(tmp_path: Path) -> None:
    """A hundred jobs within two hours of the autoscalers' time."""
    talk = tmp_path / "talk.mp3"
    recording(talk, seconds=40, seed=2, fmt="mp3")
    endpoint = StandIn(seconds=2.0, capacity=SPECS["transcriber"].most * PLACES)
    chance = random.Random(1)
    async with (
        stand_in(endpoint, free_port()) as url,
        cluster(tmp_path / "stack", SPECS, url, pace=PACE, user_jobs=JOBS_EACH) as (scaled, users),
        scaled.scaled(),
    ):

        async def served(user: Api, at: float) -> None:
            await asyncio.sleep(at)
            await completed(user, await submitted(user, talk), seconds=500)

        times = [chance.gauss(middle, 8) for middle in (20, 100) for _ in range(25)]
        await asyncio.gather(*(served(user, max(0.0, at)) for at in times for user in users))
        await scaled.until_idle()
        await all_in_order(scaled)


async def submitted(user: Api, talk: Path) -> str:
    status, job = await user.submit(talk)
    assert status == 201, job
    return str(job["id"])


async def completed(user: Api, job: str, seconds: float = LIMIT_SECONDS) -> None:
    events = await user.finished(job, seconds=seconds)
    assert events[-1].data["status"] == "completed"


async def all_in_order(scaled: Cluster) -> None:
    """No work is left, nobody went soon after coming, and all who were stopped ended in good order."""
    assert {name: lag for name, lag in (await lags(scaled.server)).items() if lag} == {}
    codes = {code for deployment in scaled.deployments.values() for code in deployment.codes}
    assert codes <= {0, -signal.SIGTERM}, "only one that had not come up yet may end by the signal itself"
    for service, scaler in scaled.scalers.items():
        assert min(lives(scaler.history)) >= SPECS[service].shortest_life, f"{service}: {scaler.history}"
