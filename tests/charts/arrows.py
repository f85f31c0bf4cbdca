"""Who connects to whom: as the chart's NetworkPolicies allow it, and as running processes do it."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tests.charts.rendering import Manifests, Object

AGENT = ("169.254.170.23/32", "fd00:ec2::23/128")
"""Where EKS Pod Identity hands out credentials on each node."""
PAUSE_SECONDS = 0.02


class Arrow(msgspec.Struct, frozen=True, order=True):
    """A connection from one to another, to a port or a range of them."""

    source: str
    target: str
    port: str


def outgoing(one: Manifests, *, aws: tuple[str, ...]) -> set[Arrow]:
    """What pods may connect to; networks in `aws` are where AWS's services are."""
    return {
        Arrow(component, target, port)
        for component, policy in _policies(one).items()
        for rule in policy["spec"].get("egress", ())
        for target in _peers(rule.get("to"), _ports(rule), aws)
        for port in _ports(rule)
    }


def incoming(one: Manifests) -> set[Arrow]:
    """Who may connect to pods."""
    return {
        Arrow(source, component, port)
        for component, policy in _policies(one).items()
        for rule in policy["spec"].get("ingress", ())
        for source in _peers(rule.get("from"), _ports(rule), ())
        for port in _ports(rule)
    }


def _policies(one: Manifests) -> dict[str, Object]:
    """NetworkPolicies by the component that they are for."""
    return {
        component: policy
        for policy in one.of("NetworkPolicy").values()
        if (component := policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component"))
    }


def _ports(rule: Object) -> list[str]:
    return [
        f"{port['port']}-{port['endPort']}" if "endPort" in port else str(port["port"])
        for port in rule["ports"]
    ]


def _peers(peers: list[Object] | None, ports: list[str], aws: tuple[str, ...]) -> set[str]:
    if peers is None:
        return {"anywhere"}
    return {_peer(peer, ports, aws) for peer in peers}


def _peer(peer: Object, ports: list[str], aws: tuple[str, ...]) -> str:
    match peer:
        case {"ipBlock": {"cidr": cidr}} if cidr in AGENT:
            return "credentials"
        case {"ipBlock": _} if ports == ["53", "53"]:
            return "dns"
        case {"ipBlock": {"cidr": cidr, **rest}} if cidr in aws and not rest:
            return "aws"
        case {"ipBlock": {"cidr": cidr, "except": _}} if not ipaddress.ip_network(cidr).is_private:
            return "internet"
        case {"ipBlock": {"cidr": cidr}}:
            return str(cidr)
        case {"namespaceSelector": {"matchLabels": labels}, "podSelector": {"matchLabels": pods}}:
            known = (labels["kubernetes.io/metadata.name"], pods["k8s-app"])
            return "dns" if known == ("kube-system", "kube-dns") else "/".join(known)
        case {"namespaceSelector": {"matchLabels": labels}}:
            return f"namespace {labels['kubernetes.io/metadata.name']}"
        case {"podSelector": {"matchLabels": labels}}:
            return str(labels["app.kubernetes.io/component"])
    raise AssertionError(f"what is {peer}?")


class Watch:
    """Connections that processes have had since it began, and the ports that they listen on."""

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self.connected: set[tuple[str, int]] = set()
        """Component, and port at the other end."""
        self.listening: set[tuple[str, int]] = set()
        self.changed = asyncio.Event()
        self._processes = dict(processes)

    def watch(self, component: str, process: psutil.Process) -> None:
        """One more."""
        self._processes[component] = process

    async def until(self, component: str, port: int, seconds: float = 30.0) -> None:
        """Wait for a connection."""
        async with asyncio.timeout(seconds):
            while (component, port) not in self.connected:
                self.changed.clear()
                await self.changed.wait()

    async def look(self) -> None:
        """Look again and again; runs until it is cancelled."""
        while True:
            await asyncio.to_thread(self._look)
            self.changed.set()
            await asyncio.sleep(PAUSE_SECONDS)

    def _look(self) -> None:
        for component, process in list(self._processes.items()):
            for pid in (process.pid, *_children(process.pid)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._note(component, psutil.Process(pid).net_connections(kind="inet"))

    def _note(self, component: str, connections: list[Any]) -> None:
        listening = {found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN}
        self.listening |= {(component, port) for port in listening}
        self.connected |= {
            (component, found.raddr.port)
            for found in connections
            if found.raddr and found.laddr.port not in listening
        }


def _children(pid: int) -> list[int]:
    """psutil would read all of /proc for it, many times a second."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


@contextlib.asynccontextmanager
async def watching(processes: Mapping[str, psutil.Process]) -> AsyncIterator[Watch]:
    """Watch processes, and all that they start, by component."""
    watch = Watch(processes)
    looking = asyncio.create_task(watch.look())
    try:
        yield watch
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
