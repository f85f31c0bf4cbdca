"""An upgrade in the documented order, under load, over what an earlier version left in the streams.

Every process is replaced in turn while clients upload and read, and beside their jobs one goes on whose
messages are worded as in tests/golden. Nobody sees more than a reconnect, and every transcript is as before.
"""

import asyncio
import itertools
import random
from pathlib import Path

import aiohttp
import msgspec
import pytest

from services.common.bus import Bus, connect
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import ChunkTranscribed
from services.contracts.topology import MINIMUM_SERVER, Stream
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import stand_in
from services.provision.declare import declare
from services.provision.settings import Settings as ProvisionSettings
from tests.api import logged_in
from tests.chaos.cast import BROKER, USERS, Cast, Casting, cast
from tests.chaos.clients import Client, Reader, replayed, transcript
from tests.chaos.matrix import Outcome, Scale, corpus_of, leaked, left_over, performed
from tests.chaos.restarts import only_reconnects, reconnects, rolled
from tests.charts.earlier import Midway, left_behind, midway
from tests.charts.held import Held
from tests.speech import recording

USER = "admin"
KEY = "0d2deb2e-312a-45c6-b59c-1887ae052018"
WAIT_SECONDS = 60.0
SMALL = Scale(
    jobs=4,
    longest_seconds=45.0,
    spread_seconds=5.0,
    casting=Casting(
        replicas={"auth": 2, "gateway": 2, "chunker": 2, "transcriber": 2},
        environ={"DRAIN_SECONDS": "5"},
    ),
)
AT_ONCE = msgspec.structs.replace(SMALL, spread_seconds=0.0)
"""For what is compared with: nothing happens meanwhile."""


@pytest.mark.timeout(300)
async def test_an_upgrade_is_seen_by_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = corpus_of(SMALL, tmp_path / "corpus")
    talk = tmp_path / "talk.mp3"
    recording(talk, seconds=90, seed=3, fmt="mp3")
    endpoint = Held(seconds=0.5, capacity=2)
    async with (
        stand_in(endpoint, free_port()) as url,
        cast(tmp_path / "run", SMALL.casting, runtime_url=url) as running,
        connect(running.stack.operator, "operator", MINIMUM_SERVER) as bus,
        aiohttp.ClientSession() as http,
    ):
        client = Client(http, running.stack.urls, (USER, USERS[USER]), random.Random(1))
        there, before = await _stopped_midway(running, bus, endpoint, talk)
        calm = await performed(running, AT_ONCE, files, seed=0)

        earlier = Reader(client, KEY)
        job = await left_behind(bus, there, await _first_text(bus, before), talk.read_bytes(), KEY)
        reading = asyncio.create_task(earlier.run())
        upgrading = asyncio.create_task(_upgraded(running, bus))
        outcome = await performed(running, SMALL, files, seed=1, until=upgrading)
        await reading

        assert set(upgrading.result().values()) == {0}
        _seen_by_nobody(outcome)
        assert outcome.transcripts == calm.transcripts
        alone = await _alone(client, before=before, earlier=job)
        assert alone.transcripts["earlier"] == alone.transcripts["before"]
        assert earlier.seen == alone.stored["earlier"]
        assert endpoint.calls == _texts(calm, outcome, alone) - 1, "what was there was transcribed again"
        assert [*await left_over(running, calm, outcome, alone), *await leaked(running)] == []
        assert "nats_forbids" not in capsys.readouterr().err, "a right that was there before was missing"


async def _alone(client: Client, **jobs: str) -> Outcome:
    """Jobs that were not sent with the others."""
    return Outcome(
        ids=jobs,
        transcripts={name: await transcript(client, job) for name, job in jobs.items()},
        readers=[],
        stored={name: await replayed(client, job) for name, job in jobs.items()},
        begun_anew=set(),
        troubles=[],
        violations=[],
    )


def _texts(*outcomes: Outcome) -> int:
    events = itertools.chain.from_iterable(seen for one in outcomes for seen in one.stored.values())
    return sum(event.name == "text" for event in events)


async def _stopped_midway(running: Cast, bus: Bus, endpoint: Held, talk: Path) -> tuple[Midway, str]:
    """What a job left in the streams while it waited for the endpoint; it ends before this does."""
    async with logged_in(running.stack.url, USER, USERS[USER]) as user, asyncio.timeout(WAIT_SECONDS):
        status, answer = await user.submit(talk)
        assert status == 201
        job = str(answer["id"])
        while (found := await midway(bus, USER, job)) is None:  # noqa: ASYNC110  # asked of the broker
            await asyncio.sleep(0.05)
        endpoint.free.set()
        assert (await user.finished(job))[-1].data["status"] == "completed"
    return found, job


async def _first_text(bus: Bus, job: str) -> ChunkTranscribed:
    stored = await bus.last(Stream.RES, topology.text(run_id(job, 0), 0))
    assert stored is not None
    return msgspec.json.decode(stored.data, type=ChunkTranscribed)


async def _upgraded(running: Cast, bus: Bus) -> dict[str, int]:
    """The order of docs/operate.md; exit codes."""
    await rolled(running, BROKER)  # it answers SIGTERM with exit code 1
    await declare(bus.jetstream, ProvisionSettings())
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(rolled(running, kind)) for kind in ("auth", "chunker", "transcriber")]
    codes = await rolled(running, "gateway")
    return codes | {name: code for task in first for name, code in task.result().items()}


def _seen_by_nobody(outcome: Outcome) -> None:
    assert outcome.violations == []
    assert outcome.begun_anew == set()
    assert reconnects(outcome) > 0, "nobody was interrupted"
    assert [trouble for trouble in outcome.troubles if not only_reconnects(trouble)] == []
