"""The chart's NATS, run: real servers with the rendered configuration, on loopback."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from services.contracts.rights import Role
from services.dev.nats_server import binary
from services.dev.processes import free_port
from services.provision.__main__ import new_seeds
from services.provision.secret import secret
from tests.authorities import Authority
from tests.charts.kubelet import Container, Kubelet
from tests.charts.rendering import RELEASE, Manifests, Object
from tests.commands import run_python
from tests.configured_nats import ConfiguredNats

NAME = f"{RELEASE}-nats"


class Ports(msgspec.Struct, frozen=True):
    """Where one server listens on loopback."""

    client: int
    cluster: int
    monitor: int


class NatsPods:
    """The StatefulSet's pods, with keys as `new-keys --secret` makes them."""

    def __init__(self, manifests: Manifests, folder: Path) -> None:
        self.folder = folder
        self.seeds: Mapping[Role, str] = new_seeds()
        self.authority = Authority()
        keys = secret(f"{NAME}-keys", self.seeds)
        [stateful] = manifests.of("StatefulSet").values()
        self.pod: Object = stateful["spec"]["template"]["spec"]
        self.objects = [*manifests.objects, keys, self._certificate()]
        self._count = int(stateful["spec"]["replicas"])
        self.ports: list[Ports] = []
        self.job: Object = next(iter(manifests.of("Job").values()))["spec"]["template"]["spec"]
        self.servers: list[ConfiguredNats] = []

    async def laid_out(self, *, authorized: bool = True) -> None:
        """Put the files of each server in place; its init container writes who is `authorized`."""
        names = [f"{NAME}-{number}" for number in range(self._count)]
        kubelets = [Kubelet(self.pod, name, self.folder / name, self.objects) for name in names]
        before = kubelets[0].container("authorization")
        written = self.folder / names[0] / "etc/nats-authorization/authorization.conf"
        if authorized:
            await self._run(before)
        else:
            written.touch()
        self.ports = [Ports(free_port(), free_port(), free_port()) for _ in names]
        for number, kubelet in enumerate(kubelets):
            container = kubelet.container("nats")
            if number > 0:  # what the first one wrote, as it would be the same
                shutil.copy(written, kubelet.folder / "etc/nats-authorization")
            [config] = [Path(word) for word in container.command if word.endswith(".conf")]
            config.write_text(self._moved(kubelet.below(config.read_text()), self.ports[number]))
            environ = {**container.environ, "ROUTES": self._routes(container.environ.get("ROUTES", ""))}
            self.servers.append(ConfiguredNats(config, monitor=self.ports[number].monitor, environ=environ))

    @property
    def urls(self) -> str:
        """NATS_URL of all servers."""
        return ",".join(f"tls://localhost:{ports.client}" for ports in self.ports)

    async def provision(self, **environ: str) -> str:
        """Run the Job's command, and give its log."""
        kubelet = Kubelet(self.job, "provision", self.folder / "provision", self.objects)
        return await self._run(kubelet.container("provision"), NATS_URL=self.urls, **environ)

    def renew(self, authority: Authority) -> None:
        """Replace certificates as a kubelet does once their Secret has changed."""
        self.authority = authority
        for server in self.servers:
            place = server.config.parents[1] / "nats-tls"
            authority.sign(["localhost"], place)
            authority.write(place / "ca.crt")
        authority.write(self.folder / "provision/etc/nats/ca.crt")

    async def stop_gently(self, number: int) -> None:
        """Run the server's preStop."""
        [lifecycle] = [one["lifecycle"] for one in self.pod["containers"] if "lifecycle" in one]
        kubelet = Kubelet(self.pod, "", self.servers[number].config.parents[2], self.objects)
        program, *arguments = lifecycle["preStop"]["exec"]["command"]
        assert program == "nats-server"
        done = await asyncio.create_subprocess_exec(binary(), *map(kubelet.below, arguments))
        assert await done.wait() == 0

    def _certificate(self) -> Object:
        """Of nats.tls.mode=secret: for loopback, where the servers are."""
        self.authority.sign(["localhost"], self.folder)
        self.authority.write(self.folder / "ca.crt")
        content = {name: (self.folder / name).read_text() for name in ("ca.crt", "tls.crt", "tls.key")}
        return {"kind": "Secret", "metadata": {"name": "loopback"}, "stringData": content}

    def _moved(self, config: str, ports: Ports) -> str:
        """Each server has the machine's only address, so their ports differ."""
        for written, port in (("port: 4222", ports.client), ("  port: 6222", ports.cluster)):
            config = config.replace(f"{written}\n", f'listen: "127.0.0.1:{port}"\n')
        return config.replace("http_port: 8222", f'http: "127.0.0.1:{ports.monitor}"')

    def _routes(self, routes: str) -> str:
        for number, ports in enumerate(self.ports):
            host = f"{NAME}-{number}.{NAME}-headless.speech.svc:6222"
            assert host in routes or len(self.ports) == 1
            routes = routes.replace(host, f"localhost:{ports.cluster}")
        return routes

    async def _run(self, container: Container, **changed: Any) -> str:
        environ = {**container.environ, **changed}
        code, out, err = await run_python("-m", "services.provision", *container.command, **environ)
        assert code == 0, err + out
        return err + out
