"""What gateways tell of the broker: queues, their age, dead letters, copies, streams without a leader."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.contracts import topology
from services.contracts.identifiers import owner_token
from services.contracts.messages import Lane
from services.contracts.rights import Role
from services.contracts.topology import MINIMUM_SERVER, Stream
from services.contracts.usage import DayUsed, Figures
from services.dev.nats_server import nats_servers
from services.gateway.broker_watch import BrokerWatch
from services.gateway.budgets import Budgets
from services.gateway.top_users import OTHERS, TopUsers, ranked
from services.provision.__main__ import provision
from services.provision.settings import Settings as ProvisionSettings
from tests.guarded import guarded_server
from tests.pipeline import worker

CHUNK = topology.chunk(Lane.SHORT, "owner", "run-0", 0)
QUEUE = "transcriber-short"


def watch(bus: Bus, most: int = 0) -> BrokerWatch:
    return BrokerWatch(bus, Budgets(bus, 0.8), TopUsers(bus, most))


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def look(bus: Bus) -> None:
    """At a broker that may be about to lose its leaders."""
    with contextlib.suppress(TimeoutError):
        await watch(bus).look()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # the broker is asked
            await asyncio.sleep(0.1)


async def test_a_queue_is_told_with_its_age_until_its_work_is_settled(tmp_path: Path) -> None:
    """With the rights of a gateway and no more. A message in somebody's hand counts, too."""
    async with guarded_server(tmp_path) as server, server.bus(Role.GATEWAY) as bus:
        await watch(bus).look()
        assert told("whisper_queue_messages", queue=QUEUE) == 0
        assert told("whisper_queue_oldest_seconds", queue=QUEUE) == 0
        assert told("whisper_dead_letters") == 0
        assert told("whisper_stream_leaderless", stream="CHUNK") == 0

        async with server.bus(Role.CHUNKER) as chunker:
            await chunker.create(CHUNK, b"sound")
            await chunker.create(topology.dead_letter("CTL", 1), b"{}")

        async def aged() -> bool:
            await watch(bus).look()
            return (told("whisper_queue_oldest_seconds", queue=QUEUE) or 0) > 0.2

        await until(aged)
        assert told("whisper_queue_messages", queue=QUEUE) == 1
        assert told("whisper_queue_messages", queue="transcriber-long") == 0
        assert told("whisper_dead_letters") == 1

        async with server.bus(Role.TRANSCRIBER) as transcriber:
            subscription = await transcriber.jetstream.pull_subscribe_bind(QUEUE, Stream.CHUNK)
            [message] = await subscription.fetch(1, timeout=20)
            await watch(bus).look()
            assert told("whisper_queue_messages", queue=QUEUE) == 1, "it is in hand"
            await message.ack_sync()
        await watch(bus).look()
        assert told("whisper_queue_messages", queue=QUEUE) == 0
        assert told("whisper_queue_oldest_seconds", queue=QUEUE) == 0


async def test_a_consumer_that_somebody_removed_ends_no_gateway(bus: Bus) -> None:
    await bus.jetstream.delete_consumer(Stream.CTL, topology.WAITING.name)
    with capture_logs() as lines:
        async with worker(watch(bus).run) as looking:

            async def unclear() -> bool:
                return "broker_unclear" in {line["event"] for line in lines}

            await until(unclear)
            assert not looking.done()


async def test_jobs_that_wait_for_a_place_are_a_queue(bus: Bus) -> None:
    for number in range(3):
        await bus.create(topology.waiting(Lane.LONG, "owner", f"run{number}-0", 0), b"{}")
    await watch(bus).look()
    assert told("whisper_queue_messages", queue=topology.WAITING.name) == 3
    assert (told("whisper_queue_oldest_seconds", queue=topology.WAITING.name) or 0) > 0


async def test_lost_copies_and_lost_leaders_are_told(tmp_path: Path) -> None:
    """Of three servers one dies, then another: what is left has no majority."""
    async with nats_servers(tmp_path, 3) as servers:
        settings = ServiceSettings(nats_url=servers[0].url)
        await provision(ProvisionSettings(nats_url=servers[0].url, stream_replicas=3))
        async with connect(settings, "test", MINIMUM_SERVER) as bus:

            async def has(current: int, missing: int) -> bool:
                await look(bus)
                return any(
                    told("whisper_stream_replicas", stream=stream, state="current") == current
                    and told("whisper_stream_replicas", stream=stream, state="missing") == missing
                    and told("whisper_stream_leaderless", stream=stream) == 0
                    for stream in Stream
                )

            async def leaderless() -> bool:
                await look(bus)
                return 1 in {told("whisper_stream_leaderless", stream=stream) for stream in Stream}

            await until(lambda: has(3, 0))
            await servers[2].kill()
            await until(lambda: has(2, 1))
            await servers[1].kill()
            await until(leaderless)


async def use(bus: Bus, date: str, user: str, samples: int) -> None:
    subject, used = (
        topology.used_on(date, owner_token(user)),
        DayUsed(user=user, figures=Figures(audio=samples)),
    )
    stored = await bus.last(Stream.DAYS, subject)
    await bus.replace(subject, msgspec.json.encode(used), expected=stored.sequence if stored else 0)


def shown() -> dict[str, float]:
    return {
        sample.labels["user"]: sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "whisper_user_audio_seconds"
    }


async def test_the_users_with_the_most_audio_of_the_day_are_named(bus: Bus) -> None:
    users = TopUsers(bus, 2)
    noon = 1_800_014_400.0
    for user, samples in {"ann": 16_000, "bob": 32_000, "cy": 48_000, OTHERS: 320_000}.items():
        await use(bus, "2027-01-15", user, samples)
    await users.look(noon)
    assert shown() == {"cy": 3, "bob": 2, OTHERS: 21}

    await use(bus, "2027-01-15", "ann", 64_000)
    await users.look(noon)
    assert shown() == {"ann": 4, "cy": 3, OTHERS: 22}, "who leaves the top loses the label"

    await use(bus, "2027-01-16", "bob", 16_000)
    await users.look(noon + topology.DAY_SECONDS)
    assert shown() == {"bob": 1, OTHERS: 0}, "each day begins anew"


@pytest.mark.parametrize("most", [1, 3, 10])
def test_named_users_and_the_others_add_up(most: int) -> None:
    samples = {f"user{number}": number * number for number in range(8)} | {OTHERS: 7}
    found = ranked(samples, most)
    assert len(found) <= most + 1
    assert sum(found.values()) == sum(samples.values())
    assert found.keys() - {OTHERS} <= {f"user{number}" for number in range(8 - most, 8)} | samples.keys()
