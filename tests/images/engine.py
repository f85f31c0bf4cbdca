"""Images built by buildah and run by podman, where there is no Docker: as root, in a storage of their own.

There is no registry either, so Debian's Python stands in for the base image, unpacked from the mirror that
this machine is configured with. What it does not prove: that the real base image has everything in its place.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.charts.dockerfiles import ROOT

FOLDER = ROOT / ".setup/images"
BASE = re.findall(r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
DEBIAN = BASE.rpartition("-")[2]
PACKAGES = "python3,python3-venv,ca-certificates,netbase,tzdata"
"""What the real image has of Debian and of its own making, as far as we use it."""
COMMANDS = ("buildah", "podman", "runc", "mmdebstrap")
NAME = "localhost/whisper-webui-{}:test"
BUSY = "sealing memfd copy: Device or resource busy"
"""What buildah 1.28 says now and then on a machine under load; the same step succeeds the next time."""
TRIES = 4
ISOLATION = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,size=256m,mode=1777"),
    *("--cap-drop=all", "--security-opt=no-new-privileges", "--network=host", "--pull=never"),
    *("--ulimit=nofile=4096:4096", "--ulimit=nproc=1024:1024", "--no-healthcheck"),
)
"""A container as the chart runs it, but for the network: the others are on loopback."""


def lacking() -> str:
    """Why images cannot be built here; empty where they can."""
    if os.geteuid() != 0:
        return "only root can build images without Docker"
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        return f"apt-get install {' '.join(missing)}"
    return "" if _mirror() else "no Debian mirror is configured here"


def _mirror() -> str:
    """The mirror that apt of this machine uses."""
    files = [*Path("/etc/apt").glob("sources.list*"), *Path("/etc/apt/sources.list.d").glob("*")]
    texts = [file.read_text() for file in files if file.is_file()]
    found = re.findall(
        r"^(?:URIs:|deb (?:\[.*\] )?)\s*(\S+/debian)/?(?:\s|$)", "\n".join(texts), re.MULTILINE
    )
    return found[0] if found else ""


def _environ() -> dict[str, str]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = FOLDER / "storage.conf"
    folders = f'graphroot = "{FOLDER}/storage"\nrunroot = "{FOLDER}/run"\n'
    settings.write_text(f'[storage]\ndriver = "overlay"\n{folders}')
    environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(settings), "BUILDAH_ISOLATION": "chroot"}
    environ.pop("SSL_CERT_FILE", None)  # packages come by TLS, so the machine's own authorities count
    return environ


def run(*command: str | Path, check: bool = True) -> str:
    """What a command says; fails with it where `check` asks for it."""
    done = subprocess.run(
        command, env=_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert not check or done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}"
    return done.stdout


def make_base() -> None:
    """The stand-in for the base image, under its name; unpacked once."""
    tar = FOLDER / "base" / f"{DEBIAN}.tar"
    tar.parent.mkdir(parents=True, exist_ok=True)
    if not tar.exists():
        unfinished = tar.with_suffix(".part.tar")
        run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN, unfinished, _mirror())
        unfinished.rename(tar)
    if not run("podman", "images", "--quiet", f"docker.io/library/{BASE}"):
        _from_text(f"FROM scratch\nADD {tar.name} /\n", f"docker.io/library/{BASE}", tar.parent)


def make_nats(server: Path) -> None:
    """nats-server in an image, for it to run among the others."""
    shutil.copy(server, FOLDER / "base/nats-server")
    text = f"FROM docker.io/library/{BASE}\nCOPY nats-server /usr/local/bin/\nUSER 10001:10001\n"
    _from_text(f'{text}ENTRYPOINT ["nats-server"]\n', NAME.format("nats"), FOLDER / "base")


def _from_text(dockerfile: str, name: str, context: Path) -> None:
    file = FOLDER / "Dockerfile"
    file.write_text(dockerfile)
    run("buildah", "bud", "--pull-never", "--network=host", f"--file={file}", f"--tag={name}", context)


def build(service: str, **arguments: str) -> int:
    """Build the image of a service from the Dockerfile; its size in bytes."""
    given = [f"--build-arg={name}={value}" for name, value in {"SERVICE": service, **arguments}.items()]
    certificates = "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"  # of a proxy on the way to the package index
    options = ["--pull-never", "--network=host", "--layers", "--format=docker", certificates]
    command = ("buildah", "bud", *options, *given, f"--tag={NAME.format(service)}", str(ROOT))
    said = ""
    for _ in range(TRIES):
        said = run(*command, check=False)
        if BUSY not in said:
            break
    assert "Successfully tagged" in said, said[-4000:]
    return int(run("podman", "image", "inspect", "--format={{.Size}}", NAME.format(service)))


def _podman(*arguments: str) -> list[str]:
    """runc with cgroupfs works where systemd does not rule and limits may not be raised; crun does not."""
    return ["podman", "--runtime=runc", "--cgroup-manager=cgroupfs", *arguments]


def within(service: str, *arguments: str, options: Sequence[str] = (), check: bool = True) -> str:
    """What a container of the image says that runs to its end."""
    return run(*_podman("run", "--rm", *ISOLATION, *options, NAME.format(service), *arguments), check=check)


@contextlib.contextmanager
def container(
    service: str, environ: Mapping[str, str], *arguments: str, options: Sequence[str] = ()
) -> Iterator[str]:
    """The name of a running container, which is gone with the context; pytest shows its log on failure."""
    name = f"whisper-test-{service}-{os.getpid()}"
    given = [f"--env={key}={value}" for key, value in environ.items()]
    command = [
        "run",
        "--detach",
        f"--name={name}",
        *ISOLATION,
        *options,
        *given,
        NAME.format(service),
        *arguments,
    ]
    run(*_podman(*command))
    try:
        yield name
    finally:
        print(f"== {service}\n{logs(name)[-6000:]}")
        run(*_podman("rm", "--force", "--time=5", name), check=False)


def logs(name: str) -> str:
    """What a container has said so far."""
    return run(*_podman("logs", name), check=False)


def stopped(name: str, seconds: int) -> int:
    """SIGTERM, and after so many seconds SIGKILL; the exit code."""
    run(*_podman("stop", f"--time={seconds}", name))
    return int(run(*_podman("inspect", "--format={{.State.ExitCode}}", name)))
