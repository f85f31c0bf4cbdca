"""Each check of the fault runs finds what it is there to find: a check that cannot fail checks nothing."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import JobOptions, JobRecord, JobState, Lane, UploadState
from tests.api import Event
from tests.chaos import checks
from tests.chaos.killer import schedule
from tests.gateways import cut, ended, publish, text

STORED = [Event(3, "cut", {"chunk": 0}), Event(5, "text", {"chunk": 0}), Event(9, "end", {})]
ID = job_id("ann", "9b2f5a0e-64c5-4a54-9a35-d7f3a3c1f0aa")
RUN = run_id(ID, 0)
RECORD = JobRecord(
    id=ID,
    owner=owner_token("ann"),
    user="ann",
    session="s",
    name="talk",
    options=JobOptions(),
    created_at=1.0,
    lane=Lane.SHORT,
    upload=UploadState.STORED,
    state=JobState.COMPLETED,
)


def test_a_job_that_did_not_complete_is_named() -> None:
    jobs = {
        "good": {"status": "completed", "upload": {"state": "stored"}, "error": None},
        "cut": {"status": "completed", "upload": {"state": "interrupted"}, "error": None},
        "stuck": {"status": "running", "upload": {"state": "stored"}, "error": None},
    }
    assert [found.split()[0] for found in checks.unfinished(jobs)] == ["cut", "stuck"]


def test_a_changed_byte_and_a_missing_transcript_are_named() -> None:
    calm = {"a": b"one", "b": b"two", "c": b"three"}
    assert checks.changed(calm, calm) == []
    assert len(checks.changed(calm, {"a": b"one", "b": b"tw0"})) == 2


@pytest.mark.parametrize(
    "seen",
    [
        STORED[:1] + STORED[2:],
        [*STORED[:2], STORED[1], STORED[2]],
        [STORED[1], STORED[0], STORED[2]],
        STORED[:2],
        [STORED[0], Event(5, "text", {"chunk": 1}), STORED[2]],
        [Event(1, "cut", {"chunk": 0}), *STORED],
    ],
    ids=["missed", "twice", "disorder", "no end", "other data", "unknown event"],
)
def test_a_reader_that_saw_something_else_is_named(seen: Sequence[Event]) -> None:
    assert checks.misread("talk", STORED, STORED, begun_anew=False) == []
    assert checks.misread("talk", seen, STORED, begun_anew=False)


def test_events_of_an_upload_that_broke_off_may_come_first_only() -> None:
    broken = [Event(1, "cut", {"chunk": 0}), Event(2, "end", {"status": "interrupted"})]
    assert checks.misread("talk", [*broken, *STORED], STORED, begun_anew=True) == []
    assert checks.misread("talk", [*STORED, *broken], STORED, begun_anew=True)


@pytest.mark.parametrize(
    "subject",
    [
        topology.part(RUN, 0),
        topology.control(Lane.SHORT, RECORD.owner, RUN),
        topology.chunk(Lane.SHORT, RECORD.owner, RUN, 0),
        topology.text(RUN, 1),
        topology.cut(run_id(ID, 1), 0),
        topology.job_record(RECORD.owner, "other"),
    ],
)
async def test_a_message_too_many_is_named(bus: Bus, subject: str) -> None:
    await _finished_job(bus)
    assert await checks.leftovers(bus, {ID: 1}) == []

    await bus.create(subject, msgspec.json.encode(msgspec.structs.replace(RECORD, id="other")))

    assert await checks.leftovers(bus, {ID: 1})


async def test_a_result_that_is_stored_twice_is_named(bus: Bus) -> None:
    await _finished_job(bus)
    await bus.jetstream.publish(topology.text(RUN, 0), b"{}")
    assert await checks.leftovers(bus, {ID: 1}) == [f"RES: {topology.text(RUN, 0)} is there 2 times"]


async def test_a_missing_result_and_a_message_in_somebodys_hand_are_named(bus: Bus) -> None:
    await _finished_job(bus)
    assert await checks.leftovers(bus, {ID: 2})

    await bus.create(topology.chunk(Lane.SHORT, RECORD.owner, RUN, 0), b"")
    subscription = await bus.jetstream.pull_subscribe_bind(topology.TRANSCRIBERS[Lane.SHORT].name, "CHUNK")
    await subscription.fetch(1, timeout=5)
    assert any("1 not acked" in found for found in await checks.leftovers(bus, {ID: 1}))
    await subscription.unsubscribe()


@pytest.fixture
def orphan() -> Iterator[psutil.Process]:
    """A process that holds an unlinked file, with a mark in its environment."""
    code = "import sys,tempfile; held = tempfile.TemporaryFile(); print(flush=True); sys.stdin.read()"
    environ = {"MARKED": "yes"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environ,
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield psutil.Process(process.pid)
        process.kill()


def test_a_process_without_an_owner_a_dead_one_and_what_they_hold_are_named(orphan: psutil.Process) -> None:
    assert checks.strays(("MARKED", "no"), [], []) == []
    assert checks.strays(("MARKED", "yes"), [orphan.pid], [orphan.pid]) == []
    assert len(checks.strays(("MARKED", "yes"), [], [])) == 1
    assert len(checks.strays(("MARKED", "no"), [orphan.pid], [])) == 1
    assert len(checks.held_files({"orphan": orphan.pid})) == 1
    assert checks.gone({"orphan": orphan.pid}) == []
    orphan.kill()
    psutil.wait_procs([orphan], timeout=10)
    assert checks.gone({"orphan": orphan.pid}) == ["orphan ended by itself"]


def test_a_file_that_is_left_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert checks.files_left([Path(folder)]) == []
        Path(folder, "spool").touch()
        assert len(checks.files_left([Path(folder)])) == 1


def test_a_seed_gives_one_schedule_and_spares_nobody() -> None:
    names = ("nats-server", "gateway-1", "gateway-2", "chunker")
    blows = schedule(7, names, 20, 60.0)
    assert blows == schedule(7, names, 20, 60.0)
    assert blows != schedule(8, names, 20, 60.0)
    assert len(blows) == 20
    assert {blow.victim for blow in blows} == set(names)


async def _finished_job(bus: Bus) -> None:
    await bus.create(topology.job_record(RECORD.owner, ID), msgspec.json.encode(RECORD))
    for event in (cut(0), text(0, "words"), ended(1)):
        await publish(bus, RUN, event)
