"""NetworkPolicies allow the connections that the services make, and no others."""

import asyncio
import contextlib
import ipaddress
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from services.common.settings import load
from services.contracts.rights import Role
from services.dev.processes import child
from services.dev.stand_in_endpoint import StandIn
from services.gateway import destinations
from tests.api import logged_in
from tests.auth_process import secrets_url
from tests.charts.arrows import Arrow, Watch, incoming, outgoing, watching
from tests.charts.conftest import Rendered
from tests.charts.documented import SETTINGS
from tests.charts.rendering import render
from tests.charts.test_workloads import SERVICES, environment, pods
from tests.charts.variants import COMBINATIONS, EVERYTHING, name
from tests.receiver import receiving
from tests.small_stack import SmallStack, small_stack
from tests.speech import recording

__all__ = ["secrets_url"]

PASSWORD = "a password of some length"
AWS = ("0.0.0.0/0",)
CLIENTS = {
    *(Arrow(service, "nats", "4222") for service in (*SERVICES, "provision")),
    Arrow("auth", "aws", "443"),
    Arrow("transcriber", "aws", "443"),
    *(Arrow("gateway", "internet", port) for port in ("80", "443", "1024-65535")),
}
"""What the services do, wherever they run."""
CLUSTER = {
    *(Arrow(component, "dns", "53") for component in (*SERVICES, "provision", "nats", "test")),
    *(Arrow(service, "credentials", "80") for service in ("auth", "transcriber")),
    Arrow("nats", "nats", "6222"),
    Arrow("test", "gateway", "8080"),
}
"""What there is in a cluster only."""
VISITORS = {
    *(Arrow("namespace monitoring", service, "9090") for service in SERVICES),
    Arrow("namespace keda", "nats", "8222"),
}


@pytest.mark.parametrize("files", COMBINATIONS, ids=name)
def test_exactly_these_connections_are_allowed(rendered: Rendered, files: tuple[str, ...]) -> None:
    one = rendered(files)
    assert outgoing(one, aws=AWS) == CLIENTS | CLUSTER
    within = {arrow for arrow in CLIENTS | CLUSTER if arrow.target in (*SERVICES, "nats")}
    assert incoming(one) == within | VISITORS


def test_what_no_policy_allows_is_denied(rendered: Rendered) -> None:
    policies = rendered().of("NetworkPolicy")
    everyone = policies["whisper-webui-deny"]["spec"]
    selected = everyone["podSelector"]["matchLabels"].items()
    assert everyone["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & everyone.keys()
    for deployment in rendered().of("Deployment").values():
        assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert set(pods(rendered((), EVERYTHING))) <= {
        policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        for policy in policies.values()
    }, "a component without a policy of its own reaches nothing"


def test_gateways_are_reached_through_what_is_in_front_of_them(rendered: Rendered) -> None:
    def visitors(given: dict[str, object]) -> set[str]:
        given = {"networkPolicy.vpcCidrs": ["10.8.0.0/16"], **given}
        return {arrow.source for arrow in incoming(rendered((), given)) if arrow.port == "8080"} - {"test"}

    ours: dict[str, object] = {"loadBalancer.sourceRanges": ["192.0.2.0/24"]}
    ingress: dict[str, object] = {"ingress.enabled": True, "publicUrl": "https://whisper.example.com"}
    assert visitors({}) == set()
    assert visitors({"loadBalancer.enabled": True, **ours}) == {"192.0.2.0/24", "10.8.0.0/16"}
    assert visitors(ingress) == {"10.8.0.0/16"}
    assert visitors({**ingress, "ingress.className": "nginx"}) == {"namespace ingress-nginx"}


def test_webhooks_reach_what_the_gateway_lets_them_reach(rendered: Rendered) -> None:
    given = {"services.gateway.env.WEBHOOK_NETWORKS": "10.1.0.0/16, 10.2.0.7/32"}
    [rule] = [
        rule
        for rule in rendered((), given).of("NetworkPolicy")["whisper-webui-gateway"]["spec"]["egress"]
        if any("except" in peer.get("ipBlock", {}) for peer in rule["to"])
    ]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    kept = {block["cidr"]: set(block.get("except", ())) for block in blocks}
    private = {4: set[str](), 6: set[str]()}
    for network in destinations.NOT_PUBLIC:
        private[network.version].add(str(network))
    assert kept == {
        "0.0.0.0/0": private[4],
        str(destinations.GLOBAL_IPV6): private[6],
        "10.1.0.0/16": set(),
        "10.2.0.7/32": set(),
    }
    assert all(ipaddress.ip_network(cidr) for cidr in kept)
    ports = [(port["port"], port.get("endPort", port["port"])) for port in rule["ports"]]
    assert ports == [*((port, port) for port in destinations.PORTS), (destinations.FIRST_OTHER_PORT, 65535)]


def test_a_nats_of_one_s_own_is_reached_at_its_port() -> None:
    given: dict[str, object] = {
        "nats.enabled": False,
        "nats.external.url": "tls://one.example.com:4333,tls://two.example.com:4333",
        "nats.external.monitor": "nats-headless.nats.svc.cluster.local:8222",
    }
    assert Arrow("chunker", "anywhere", "4333") in outgoing(render((), given), aws=AWS)
    given["networkPolicy.natsPeers"] = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nats"}}}
    ]
    one = render((), given)
    assert Arrow("chunker", "namespace nats", "4333") in outgoing(one, aws=AWS)
    assert "nats" not in {arrow.target for arrow in incoming(one)}


def test_spans_reach_the_collector_from_who_sends_them_only(rendered: Rendered) -> None:
    variable = "env.OTEL_EXPORTER_OTLP_ENDPOINT"
    given: dict[str, object] = {
        f"services.gateway.{variable}": "http://collector.observability.svc:4318",
        f"services.chunker.{variable}": "https://traces.example.com/otlp",
    }
    more = outgoing(render((), given), aws=AWS) - outgoing(rendered(), aws=AWS)
    assert more == {Arrow("gateway", "anywhere", "4318"), Arrow("chunker", "anywhere", "443")}
    given["networkPolicy.collectorPeers"] = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}
    ]
    found = outgoing(render((), given), aws=AWS)
    assert Arrow("gateway", "namespace observability", "4318") in found
    assert "anywhere" not in {arrow.target for arrow in found}


def test_without_pod_identity_nobody_asks_its_agent() -> None:
    one = render((), {"aws.identity": "none"})
    assert "credentials" not in {arrow.target for arrow in outgoing(one, aws=AWS)}


class Between:
    """A way to a server that holds each connection until it has been seen, for it may be short."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.port = 0
        self.seen: Callable[[int], Awaitable[None]] | None = None
        """Waits until a connection to this port has been seen."""

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.seen is not None:
            await self.seen(self.port)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port(self._target))
        await asyncio.gather(_copied(reader, far_writer), _copied(far_reader, writer))


@contextlib.asynccontextmanager
async def between(target: str) -> AsyncIterator[Between]:
    way = Between(target)
    server = await asyncio.start_server(way.forward, "127.0.0.1", 0)
    async with server:
        way.port = server.sockets[0].getsockname()[1]
        yield way


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
async def secrets(secrets_url: str) -> AsyncIterator[Between]:
    async with between(secrets_url) as way:
        yield way


@pytest.fixture
async def system(tmp_path: Path, secrets_url: str, secrets: Between) -> AsyncIterator[SmallStack]:
    settings = {
        "WEBHOOK_NETWORKS": "127.0.0.0/8",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://127.0.0.1:{secrets.port}",
    }
    endpoint = StandIn(seconds=0.5, capacity=4)
    async with small_stack(tmp_path, secrets_url, {"ann": PASSWORD}, endpoint, settings) as stack:
        yield stack


async def test_the_services_make_the_connections_that_are_allowed_and_no_others(
    system: SmallStack, secrets: Between, tmp_path: Path, rendered: Rendered
) -> None:
    """Seen while a recording is transcribed and its webhook sent; then all stop in time with work in hand."""
    talk = tmp_path / "talk.mp3"
    recording(talk, seconds=20, fmt="mp3")
    running = {str(service): psutil.Process(pid) for service, pid in system.pids.items()}
    assert running.keys() == set(SERVICES)
    runtime = running["transcriber"].environ()["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
    async with watching(running) as watch:

        async def seen(_request: web.Request) -> web.Response:
            await watch.until("gateway", port(receiver.url))
            return web.Response(status=204)

        secrets.seen = lambda number: watch.until("auth", number)
        async with receiving(seen) as receiver, logged_in(system.url, "ann", PASSWORD) as api:
            guess = {"username": "ann", "password": "wrong"}
            async with api.session.post("/login", json=guess) as answer:
                assert answer.status == 401  # auth has looked whether the secret has changed
            _, job = await api.submit(talk, callback_url=receiver.url)
            await api.finished(job["id"])
            await watch.until("gateway", port(receiver.url))
        async with between(system.nats.url) as broker:
            await _provisioned(system, watch, broker)
        secrets.seen = None
    names = {
        port(system.nats.url): "nats",
        broker.port: "nats",
        secrets.port: "aws",
        port(runtime): "aws",
        port(receiver.url): "internet",
    }
    made = {(component, names.get(number, f"port {number}")) for component, number in watch.connected}
    assert made == {(arrow.source, arrow.target) for arrow in outgoing(rendered(), aws=AWS) - CLUSTER}
    # Each listens for Prometheus, and the gateway for clients.
    doors = {(arrow.target, arrow.port) for arrow in incoming(rendered()) if arrow.target in SERVICES}
    assert Counter(component for component, _ in watch.listening) == Counter(
        component for component, _ in doors
    )
    await _stopped_in_time(system, running)


async def _provisioned(system: SmallStack, watch: Watch, broker: Between) -> None:
    """Declare the streams once more, in a process that is watched."""
    environ = {
        "NATS_URL": f"nats://127.0.0.1:{broker.port}",
        "NATS_NKEY_SEED": system.nats.seeds[Role.PROVISION],
        "PYTHONPATH": ":".join(sys.path),
        "PATH": "/usr/bin:/bin",
    }
    broker.seen = lambda number: watch.until("provision", number)
    arguments = (sys.executable, "-m", "services.provision")
    async with child(arguments, environ=environ) as process:
        watch.watch("provision", psutil.Process(process.pid))
        assert await process.wait() == 0


async def _stopped_in_time(system: SmallStack, running: dict[str, psutil.Process]) -> None:
    """SIGTERM to each, with an upload that hangs and somebody who listens."""
    given = {f"services.{service}.env.DRAIN_SECONDS": 2 for service in SERVICES}
    one = render((), {**given, "services.gateway.preStopSeconds": 0})
    for service in SERVICES:
        assert load(SETTINGS[service], environment(one, service)).drain_seconds == 2
    stall = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        await stall.wait()

    async with logged_in(system.url, "ann", PASSWORD) as api:
        key = "0b1e2b0c-6b52-4f0e-8d3a-1d1f3f2a7c11"
        headers = {"Idempotency-Key": key, "Content-Type": "audio/mpeg"}
        upload = asyncio.create_task(_sent(api.session, endless(), headers))
        job = await api.find(key)
        async with api.session.get(f"/v1/jobs/{job}/events") as events:
            await events.content.readany()
            for process in running.values():
                process.terminate()
            ends = {service: pods(one)[service]["terminationGracePeriodSeconds"] for service in running}
            codes = await asyncio.gather(
                *(asyncio.to_thread(process.wait, ends[service]) for service, process in running.items())
            )
        stall.set()
        await asyncio.gather(upload, return_exceptions=True)
    assert set(codes) <= {0, None}  # None where asyncio has taken the exit code first


async def _sent(session: object, body: AsyncIterator[bytes], headers: dict[str, str]) -> None:
    async with session.post("/v1/jobs", data=body, headers=headers) as answer:  # type: ignore[attr-defined]
        await answer.read()


def port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])
