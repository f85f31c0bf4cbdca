"""The rendered configuration of NATS under the real nats-server: it keeps, refuses and comes back."""

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import nats.errors
import pytest

from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.contracts import topology
from services.contracts.rights import Role
from services.contracts.topology import MINIMUM_SERVER, Stream
from tests.authorities import Authority
from tests.charts.conftest import Rendered
from tests.charts.nats_pods import NatsPods
from tests.configured_nats import ConfiguredNats, running
from tests.gateways import until

MARKER = b"what somebody said in confidence " * 8
LOOPBACK = {"nats.tls": {"mode": "secret", "secret": "loopback"}}


@contextlib.asynccontextmanager
async def bus_of(pods: NatsPods, role: Role, server: int | None = None) -> AsyncIterator[Bus]:
    """A service's connection, with the variables that the chart gives it."""
    settings = ServiceSettings(
        nats_url=pods.urls if server is None else pods.urls.split(",")[server],
        nats_nkey_seed=pods.seeds[role],
        nats_ca_file=str(pods.folder / "provision/etc/nats/ca.crt"),
    )
    async with connect(settings, role, MINIMUM_SERVER, patience_seconds=20) as bus:
        yield bus


async def _store(bus: Bus, subject: str) -> None:
    """Whoever asks twice, as the bus does while a leader is elected, may find its own first try."""
    await bus.create(subject, MARKER)
    await until(lambda: bus.last(Stream.RES, subject))


def on_disk(server: ConfiguredNats, text: bytes) -> bool:
    """Whether this stands anywhere in the server's volume."""
    data = server.config.parents[2] / "data"
    return any(text in path.read_bytes() for path in data.rglob("*") if path.is_file())


@pytest.mark.timeout(300)  # servers of 2.10 may take a minute to catch up
async def test_three_servers_keep_three_copies_through_a_kill(rendered: Rendered, tmp_path: Path) -> None:
    pods = NatsPods(rendered(given=LOOPBACK), tmp_path)
    await pods.laid_out()
    assert "is valid" in await pods.servers[0].checked()
    async with running(*pods.servers):
        await _gathered(pods)
        assert '"provisioned"' in await pods.provision()
        await _check_copies(pods)
        await _check_rights(pods)
        await _check_disks(pods)
        await _check_kill(pods)
        await _check_renewal(pods)
        await _check_lame_duck(pods)


async def _gathered(pods: NatsPods) -> None:
    """All know each other, if need be after what docs/nats.md does about one of 2.10 that is left out."""
    for lame in (None, *pods.servers):
        if lame is not None:
            await lame.kill()
            await lame.start()
            await lame.until_healthy()
        with contextlib.suppress(TimeoutError):
            await until(lambda: _led_by_one(pods.servers), seconds=5)
            return
    raise AssertionError("the servers do not find each other")


async def _led_by_one(servers: list[ConfiguredNats]) -> bool:
    """Whether one of them has all others in its group."""
    groups = [(await server.monitored("/jsz"))["meta_cluster"] for server in servers]
    return any(len(group.get("replicas") or ()) == len(servers) - 1 for group in groups)


async def _check_copies(pods: NatsPods) -> None:
    async with bus_of(pods, Role.OPERATOR) as bus:
        for stream in Stream:
            info = await bus.jetstream.stream_info(stream)
            assert info.config.num_replicas == 3
            assert info.cluster is not None
            assert len(info.cluster.replicas or []) == 2


async def _check_rights(pods: NatsPods) -> None:
    async with bus_of(pods, Role.CHUNKER) as chunker:
        await _store(chunker, topology.cut("run-0", 0))
    async with bus_of(pods, Role.TRANSCRIBER) as transcriber:
        stored = await until(lambda: transcriber.last(Stream.RES, topology.cut("run-0", 0)))
        assert stored.data == MARKER
        with pytest.raises(nats.errors.Error):
            await transcriber.client.request(f"$JS.API.STREAM.DELETE.{Stream.RES}", timeout=1)
    async with bus_of(pods, Role.OPERATOR) as bus:
        assert await bus.last(Stream.RES, topology.cut("run-0", 0)) is not None


async def _check_disks(pods: NatsPods) -> None:
    """Each server has its copy, and none can be read without the key."""
    for server in pods.servers:
        assert (server.config.parents[2] / "data/jetstream/$G/streams" / Stream.RES).is_dir()
        assert not on_disk(server, MARKER[:32])


async def _check_kill(pods: NatsPods) -> None:
    """One of three is killed while facts are stored; it comes back and catches up."""
    async with bus_of(pods, Role.CHUNKER, server=0) as chunker:
        await pods.servers[2].kill()
        for number in range(1, 6):
            await _store(chunker, topology.cut("run-0", number))
        await pods.servers[2].start()
        await pods.servers[2].until_healthy()
    await _check_has_all(pods, 2)


async def _check_has_all(pods: NatsPods, server: int) -> None:
    """Streams and consumers, as this server itself says; newer servers may be ready a moment before that."""
    await until(lambda: _has_all(pods.servers[server]))


async def _has_all(server: ConfiguredNats) -> bool:
    found = await server.monitored("/jsz?streams=1&consumers=1")
    streams = {stream["name"]: stream for stream in found["account_details"][0]["stream_detail"]}
    consumers = {one["name"] for stream in streams.values() for one in stream.get("consumer_detail") or ()}
    return (
        streams.keys() == set(Stream)
        and streams[Stream.RES]["state"]["messages"] == 6
        and consumers == {consumer.name for consumer in topology.CONSUMERS}
    )


async def _check_renewal(pods: NatsPods) -> None:
    """Another authority: whoever is connected stays so, and who comes later trusts it, servers included."""
    async with bus_of(pods, Role.CHUNKER, server=0) as chunker:
        pods.renew(Authority())
        for server in pods.servers:
            server.signal(signal.SIGHUP)
        await until(lambda: _all_said(pods.servers, "Reloaded server configuration"))
        await pods.servers[1].kill()
        await pods.servers[1].start()
        await pods.servers[1].until_healthy()
        await _store(chunker, topology.cut("run-1", 0))
        assert chunker.breaks == 0
    async with bus_of(pods, Role.CHUNKER, server=1) as chunker:
        assert await chunker.last(Stream.RES, topology.cut("run-1", 0)) is not None


async def _check_lame_duck(pods: NatsPods) -> None:
    """What preStop does: streams are led elsewhere, and a client hears no error."""
    async with bus_of(pods, Role.CHUNKER, server=0) as chunker:
        await pods.stop_gently(1)
        await until(lambda: _all_said(pods.servers[1:2], "Entering lame duck mode"))
        for number in range(1, 6):
            await _store(chunker, topology.cut("run-1", number))
        assert chunker.breaks == 0


async def _all_said(servers: list[ConfiguredNats], text: str) -> bool:
    return all(text in server.log.read_text() for server in servers)
