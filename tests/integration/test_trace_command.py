"""`trace JOB` against real streams: a job that waits, one at work, one that ended, and none at all."""

import argparse
import json
import time
from pathlib import Path

import msgspec
import pytest

from services.common.bus import Bus
from services.common.settings import ServiceSettings
from services.contracts import attempts, topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import HEADER, EndOfUpload, JobOptions, JobRecord, JobState, Lane, Problem
from services.contracts.rights import Role
from services.contracts.topology import Stream
from services.contracts.webhooks import delivery_of
from services.gateway import trace_command
from services.gateway.jobs import Jobs
from services.gateway.way import way
from services.gateway.way_text import text as written
from tests.commands import run_python
from tests.gateways import Gateway, cut, ended, gap, mark, publish, text, upload
from tests.guarded import guarded_server
from tests.pipeline import Pipeline

CALLBACK = "http://127.0.0.1:9/hook?key=hidden"


async def told(bus: Bus, job: str) -> str:
    found = await way(bus, job)
    assert found is not None
    return written(found)


async def test_the_way_is_told_at_every_stage(gateway: Gateway, bus: Bus) -> None:
    job = str((await upload(gateway, b"sound"))["id"])
    run = run_id(job, 0)
    waiting = await told(bus, job)
    assert "last of 1 parts: 5 bytes, whole" in waiting
    assert "It waits for a place, for " in waiting

    [command] = await bus.subjects(Stream.CTL, ">")
    stored = await bus.last(Stream.CTL, command)
    assert stored is not None
    await bus.create(topology.admitted(command), stored.data)
    await bus.remove(Stream.CTL, stored.sequence)
    assert "It waits for a chunker to take it" in await told(bus, job)

    await mark(bus, job, state=JobState.RUNNING, started_at=await bus.now(Stream.JOB))
    assert "It waits for the decoder to give the next chunk." in await told(bus, job)
    for number in range(3):
        await publish(bus, run, cut(number))
    assert "It waits for its user's window" in await told(bus, job)
    await bus.create(topology.chunk(Lane.SHORT, owner_token("ann"), run, 2), b"flac")
    await publish(bus, run, text(0, "not to be shown"))
    await publish(bus, run, gap(1))
    at_work = await told(bus, job)
    assert "A chunker has it in hand: 3 chunks cut, 1 without an outcome." in at_work
    assert "It waits for transcribers and the endpoint; queued for up to " in at_work
    assert "gap in attempt 0 (" in at_work

    await publish(bus, run, ended(3))
    assert "a chunker has yet to write it into the record" in await told(bus, job)
    await mark(bus, job, state=JobState.COMPLETED, ended_at=await bus.now(Stream.JOB))
    over = await told(bus, job)
    assert "It has ended: completed." in over
    assert "not to be shown" not in over
    await mark(bus, job, deleted=True)
    assert "It is deleted." in await told(bus, job)


async def test_a_job_of_the_real_pipeline_is_told_in_the_order_of_its_steps(
    pipeline: Pipeline, gateway: Gateway, bus: Bus, talk: bytes
) -> None:
    job = str((await upload(gateway, talk))["id"])

    async def over() -> bool:
        found = await way(bus, job)
        return found is not None and found.state.final

    await pipeline.until(over)
    found = await way(bus, job)
    assert found is not None
    assert found.upload is not None
    assert len(found.chunks) >= 3
    for chunk in found.chunks:
        assert chunk.text_at is not None
        assert found.created_at <= chunk.cut_at <= chunk.text_at <= found.ends[0].at <= found.now
    lines = written(found).splitlines()
    steps = [
        "created",
        "first part",
        "last of",
        "taken by a chunker",
        "first text",
        "end of attempt 0: completed",
    ]
    assert [step for step in steps if any(step in line for line in lines)] == steps
    times = [float(line.split()[0]) for line in lines if line.lstrip().startswith(("+", "-"))]
    assert times == sorted(times)


async def test_the_command_needs_a_gateways_rights_only(tmp_path: Path) -> None:
    record = JobRecord(
        id=job_id("ann", "1"),
        owner=owner_token("ann"),
        user="ann",
        session="s",
        name="a name that nobody needs",
        options=JobOptions(callback_url=CALLBACK),
        created_at=time.time(),
        lane=Lane.SHORT,
        state=JobState.FAILED,
        ended_at=time.time(),
        problem=Problem(code="no_sound", message="There is no sound."),
    )
    run, end = run_id(record.id, 0), EndOfUpload(bytes=1)
    async with guarded_server(tmp_path) as nats:
        async with nats.bus(Role.OPERATOR) as bus:
            assert await Jobs(bus).create(record)
            await bus.create(topology.part(run, 0), b"x", {HEADER: msgspec.json.encode(end).decode()})
            await bus.create(attempts.command_subject(record), msgspec.json.encode(attempts.command(record)))
            await bus.create(topology.chunk(Lane.SHORT, record.owner, run, 0), b"flac")
            await publish(bus, run, cut(0))
            delivery = delivery_of(record)
            assert delivery is not None
            await bus.create(delivery.subject, msgspec.json.encode(delivery))

        def environ(role: Role) -> dict[str, str]:
            return {"NATS_URL": nats.url, "NATS_NKEY_SEED": nats.seeds[role]}

        code, output, errors = await run_python(
            "-m", "services.gateway", "trace", record.id, "--json", **environ(Role.GATEWAY)
        )
        assert (code, errors) == (0, "")
        found = json.loads(output)
        assert (found["job"], found["chunks"][0]["chunk"], len(found["deliveries"])) == (record.id, 0, 1)
        assert found["chunks"][0]["queued_at"] is not None
        assert "hidden" not in output
        assert record.name not in output

        code, output, errors = await run_python(
            "-m", "services.dev", "trace", record.id, **environ(Role.OPERATOR)
        )
        assert (code, errors) == (0, "")
        assert f"job {record.id}" in output

        unknown = "a" * 26
        code, output, errors = await run_python(
            "-m", "services.dev", "trace", unknown, **environ(Role.OPERATOR)
        )
        assert (code, output) == (1, "")
        assert errors == f"there is no job {unknown}: it never was, or its retention has ended\n"


def test_what_is_no_job_id_is_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    given = argparse.Namespace(job="nonsense", json=False)
    assert trace_command.main(given, ServiceSettings(), Role.GATEWAY) == 2
    assert capsys.readouterr().err == "'nonsense' is no job id: those have 26 characters of a-z and 2-7\n"
