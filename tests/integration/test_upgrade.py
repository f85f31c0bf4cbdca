"""Provisioning over what an older version declared: today's topology, and no stored message lost."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from services.common.bus import Bus, connect
from services.common.errors import Misconfigured
from services.common.settings import ServiceSettings
from services.contracts import topology
from services.contracts.messages import Lane
from services.contracts.topology import CONSUMERS, MINIMUM_SERVER, RETIRED, TRANSCRIBERS, Stream
from services.dev.nats_server import nats_server
from services.provision.declare import declare
from services.provision.settings import Settings

MIB = 1024**2
OWNER, RUN = "owner", "mfrggzdfmztwq2lknnwg23tpob-0"
OLD = (
    StreamConfig(name=Stream.UP, subjects=["up.*.*"], max_bytes=8 * MIB, max_age=3600.0, allow_direct=True),
    StreamConfig(
        name=Stream.CTL, subjects=["ctl.>"], retention=RetentionPolicy.WORK_QUEUE, discard=DiscardPolicy.NEW
    ),
    StreamConfig(name=Stream.CHUNK, subjects=["chunk.>"], retention=RetentionPolicy.WORK_QUEUE),
    StreamConfig(name=Stream.RES, subjects=["res.*.text.*", "res.*.end.*"], max_bytes=64 * MIB),
    StreamConfig(name=Stream.JOB, subjects=["$KV.JOB.>"], max_msgs_per_subject=8, allow_direct=True),
)
"""Other budgets and ages, subjects that are missing, no wake-ups; hotwords, tokens and dead letters are not
there at all."""
STORED = {
    topology.part(RUN, 0): b"sound" * MIB,
    topology.part(RUN, 1): b"",
    topology.control(Lane.LONG, OWNER, RUN, 0): b"command",
    topology.chunk(Lane.SHORT, OWNER, RUN, 0): b"chunk in hand",
    topology.chunk(Lane.LONG, OWNER, RUN, 1): b"chunk",
    topology.text(RUN, 0): b"text",
    topology.job_record(OWNER, "job"): b"record",
}
OLD_CONSUMERS = (
    ConsumerConfig(
        durable_name="transcriber",
        filter_subject="chunk.>",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=3600.0,
        max_ack_pending=10,
    ),
    ConsumerConfig(
        durable_name="chunker-long",
        filter_subject="ctl.long.*.*.*",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=5.0,
        max_deliver=7,
        max_ack_pending=10,
    ),
)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    """A server of its own, on which nothing is declared."""
    async with (
        nats_server(tmp_path / "nats") as server,
        connect(ServiceSettings(nats_url=server.url), "test", MINIMUM_SERVER) as bus,
    ):
        yield bus


@pytest.fixture
async def old(bus: Bus) -> Bus:
    """A deployment of an older version, at work: a chunk is in the hands of a consumer that is no more."""
    for declared in OLD:
        await bus.jetstream.add_stream(declared)
    for consumer in OLD_CONSUMERS:
        stream = Stream.CHUNK if consumer.durable_name == "transcriber" else Stream.CTL
        await bus.jetstream.add_consumer(stream, consumer)
    for subject, data in STORED.items():
        await bus.jetstream.publish(subject, data[: MIB - 1024])
    assert RETIRED == ((Stream.CHUNK, "transcriber"),)
    subscription = await bus.jetstream.pull_subscribe_bind("transcriber", Stream.CHUNK)
    [message] = await subscription.fetch(1, timeout=10)
    assert message.data == b"chunk in hand"
    await subscription.unsubscribe()
    return bus


async def topology_of(jetstream: JetStreamContext) -> Mapping[str, Any]:
    """How each stream and consumer is declared, as the server tells it."""
    found: dict[str, Any] = {}
    for name in Stream:
        config = (await jetstream.stream_info(name)).config
        found[name] = dataclasses.replace(config, metadata=None, subjects=sorted(config.subjects or []))
        for consumer in await jetstream.consumers_info(name):
            found[f"{name} {consumer.name}"] = dataclasses.replace(consumer.config, metadata=None)
    return found


async def stored(bus: Bus) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in (Stream.UP, Stream.CTL, Stream.CHUNK, Stream.RES, Stream.JOB):
        for sequence in range(1, len(STORED) + 1):
            message = await bus.at(name, sequence)
            if message is not None:
                found[message.subject] = message.data
    return found


async def test_an_old_deployment_becomes_todays_and_keeps_every_message(old: Bus, tmp_path: Path) -> None:
    before = await stored(old)
    settings = Settings(up_max_bytes=MIB // 2)  # less than what it holds already
    assert len(before) == len(STORED)

    await declare(old.jetstream, settings)

    assert await stored(old) == before
    async with (
        nats_server(tmp_path / "new") as server,
        connect(ServiceSettings(nats_url=server.url), "test", MINIMUM_SERVER) as new,
    ):
        await declare(new.jetstream, settings)
        assert await topology_of(old.jetstream) == await topology_of(new.jetstream)
    await declare(old.jetstream, settings)
    assert await stored(old) == before


async def test_what_a_retired_consumer_held_goes_to_todays(old: Bus) -> None:
    await declare(old.jetstream, Settings())

    for lane, data in ((Lane.SHORT, b"chunk in hand"), (Lane.LONG, b"chunk")):
        subscription = await old.jetstream.pull_subscribe_bind(TRANSCRIBERS[lane].name, Stream.CHUNK)
        [message] = await subscription.fetch(1, timeout=10)
        assert message.data == data
        await message.ack_sync()
        await subscription.unsubscribe()
    assert await old.subjects(Stream.CHUNK, ">") == {}


async def test_todays_subjects_and_wakeups_work_after_it(old: Bus) -> None:
    await declare(old.jetstream, Settings())

    async with old.woken_by(topology.live_results()) as woken, asyncio.timeout(10):
        assert await old.create(topology.gap(RUN, 1, 0), b"gap")
        await woken.wait()
    for subject in (
        topology.waiting(Lane.SHORT, OWNER, RUN, 0),
        topology.hotword_list(OWNER, "default"),
        topology.revoked("session"),
        topology.dead_letter(Stream.CHUNK, 1),
        topology.usage(OWNER, RUN, 0),
        topology.used_on("2026-01-31", OWNER),
        topology.delivery(OWNER, RUN, 0),
    ):
        assert await old.create(subject, b"new")
    assert {name for _, name in (consumer.queue for consumer in CONSUMERS)} == {
        info.name
        for name in {consumer.stream for consumer in CONSUMERS}
        for info in await old.jetstream.consumers_info(name)
    }


async def test_what_no_update_can_change_is_named(bus: Bus) -> None:
    """A stream that is no work queue cannot become one: the operator hears which, and nothing is lost."""
    await bus.jetstream.add_stream(StreamConfig(name=Stream.CTL, subjects=["ctl.>"]))
    await bus.jetstream.publish(topology.control(Lane.LONG, OWNER, RUN, 0), b"command")
    with pytest.raises(Misconfigured, match=r"stream CTL: the server refuses .* workqueue"):
        await declare(bus.jetstream, Settings())
    assert await bus.at(Stream.CTL, 1) is not None
