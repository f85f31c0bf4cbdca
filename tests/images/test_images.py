"""Every image built for real, and a recording transcribed by containers that may do as little as in pods."""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from images.locks import EXTRAS
from services.auth.settings import Settings as Auth
from services.chunker import confinement
from services.contracts.rights import Role
from services.dev.credentials import administrator, store_credentials
from services.dev.moto_server import moto_server
from services.dev.nats_server import binary
from services.dev.processes import child, free_port
from services.provision.authorization import authorization, new_seed, public_key
from tests.charts.dockerfiles import ROOT
from tests.images import engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(engine.lacking()), reason=engine.lacking()),
]

SERVICES = tuple(EXTRAS)
SPEECH = ROOT / "charts/whisper-webui/files"
MODEL = ROOT / ".setup/models/whisper-duo"
PYTHON = "--entrypoint=/opt/venv/bin/python"
PASSWORD = "a password of this test"
VERSION = importlib.metadata.version("whisper-webui")
REVISION = "0123456789abcdef0123456789abcdef01234567"
LIMITS = """
import os, pathlib
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
print(os.getuid(), os.getgid(), status["CapEff"], status["NoNewPrivs"])
for place in ("/app/x", "/opt/venv/x", "/x"):
    try:
        pathlib.Path(place).write_text("")
    except OSError as error:
        print(error.strerror)
pathlib.Path("/tmp/x").write_text("")
"""


@pytest.fixture(scope="module")
def sizes() -> dict[str, int]:
    """Bytes of each image, once all are built."""
    engine.make_base()
    engine.make_nats(Path(binary()))
    found = {service: engine.build(service, REVISION=REVISION, VERSION=VERSION) for service in SERVICES}
    for service, size in found.items():
        print(f"{service:12} {size / 1e6:6.0f} MB")
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_says_what_it_is(sizes: dict[str, int], service: str) -> None:
    assert sizes[service] < 600e6
    [found] = json.loads(engine.run("podman", "image", "inspect", engine.NAME.format(service)))
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.revision"] == REVISION
    assert config["Labels"]["org.opencontainers.image.title"] == f"whisper-webui-{service}"
    assert f"GIT_REVISION={REVISION}" in config["Env"]
    assert "Healthcheck" not in config


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights_and_no_shell(sizes: dict[str, int], service: str) -> None:
    said = engine.within(service, "-c", LIMITS, options=[PYTHON]).splitlines()
    assert said[0].split() == ["10001", "10001", "0" * 16, "1"]
    assert said[1:] == ["Read-only file system"] * 3
    for shell in ("/bin/sh", "/bin/bash", "/usr/bin/apt-get", "/opt/venv/bin/pip"):
        assert (
            "no such file" in engine.within(service, options=[f"--entrypoint={shell}"], check=False).lower()
        )


def test_only_the_chunker_has_a_decoder(sizes: dict[str, int]) -> None:
    for service in SERVICES:
        look = "import shutil; print(shutil.which('ffmpeg'))"
        found = engine.within(service, "-c", look, options=[PYTHON]).strip()
        assert found == ("/usr/bin/ffmpeg" if service == "chunker" else "None")


def test_keys_are_made_without_anything_installed(sizes: dict[str, int]) -> None:
    keys = json.loads(engine.within("provision", "new-keys"))
    assert keys["gateway"]["seed"].startswith("SU")


async def test_a_recording_is_transcribed_by_containers(sizes: dict[str, int], tmp_path: Path) -> None:
    async with outside() as environ:
        await asyncio.to_thread(transcribe, environ, tmp_path)


def transcribe(environ: dict[str, str], folder: Path) -> None:
    """Start the services, send a recording as `helm test` does, look at them, and stop them."""
    seeds = {role: new_seed() for role in Role}
    with broker(folder, seeds) as nats_url, contextlib.ExitStack() as running:
        environ |= {"NATS_URL": nats_url, "HOST": "127.0.0.1"}
        options = [f"--env={key}={value}" for key, value in (environ | login(seeds, "provision")).items()]
        engine.within("provision", options=options)
        port, names, metrics = free_port(), {}, {}
        for service in ("auth", "chunker", "transcriber", "gateway"):
            metrics[service] = f"http://127.0.0.1:{(number := free_port())}"
            own = {**environ, **login(seeds, service), "METRICS_PORT": str(number), "PORT": str(port)}
            own |= {"DECODER_SANDBOX_REQUIRED": "true", "DRAIN_SECONDS": "5"}
            names[service] = running.enter_context(engine.container(service, own))
        for url in metrics.values():
            answered(f"{url}/readyz")
        said = sent(f"http://127.0.0.1:{port}").strip()
        assert len(said.split()) > 3, said
        print(f"transcribed: {said}")
        measured = answered(f"{metrics['chunker']}/metrics")
        for name in confinement.PROTECTIONS:
            assert f'whisper_decoder_protection{{protection="{name}"}} 1.0' in measured
        built = f'whisper_build_info{{revision="{REVISION}",service="gateway",version="{VERSION}"}} 1.0'
        assert built in answered(f"{metrics['gateway']}/metrics")
        assert json.loads(answered(f"http://127.0.0.1:{port}/openapi.json"))["info"]["version"] == VERSION
        for service, name in names.items():
            assert engine.stopped(name, seconds=30) == 0, f"{service} heard SIGTERM"
            assert '"stopped"' in engine.logs(name)


def sent(url: str) -> str:
    """What the chart's test says, run in the image that the chart runs it in."""
    account = ["--env=WHISPER_USERNAME=admin", f"--env=WHISPER_PASSWORD={PASSWORD}"]
    options = [PYTHON, f"--volume={SPEECH}:/test:ro", *account]
    return engine.within("gateway", "/test/transcription.py", url, "/test/speech.ogg", "120", options=options)


@contextlib.asynccontextmanager
async def outside() -> AsyncIterator[dict[str, str]]:
    """What is not in the cluster: Secrets Manager, and the endpoint with the test model; where they are."""
    endpoint = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'sagemaker'}",
        "WHISPER_MODEL": str(MODEL),
        "HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(free_port()),
    }
    url = f"http://127.0.0.1:{endpoint['SAGEMAKER_BIND_TO_PORT']}"
    runtime_port = str(free_port())
    runtime = (sys.executable, "-m", "services.dev.sagemaker_runtime", url, runtime_port)
    async with (
        moto_server() as secrets_url,
        child((sys.executable, "-m", "endpoint", "serve"), environ=endpoint),
        child(runtime, environ=endpoint),
    ):
        settings = Auth()
        await store_credentials(secrets_url, settings, {"admin": administrator(PASSWORD)})
        await asyncio.to_thread(answered, f"{url}/ping")
        yield {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://127.0.0.1:{runtime_port}",
            "AWS_REGION": settings.aws_region,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def login(seeds: dict[Role, str], service: str) -> dict[str, str]:
    return {"NATS_NKEY_SEED": seeds[Role(service)]}


@contextlib.contextmanager
def broker(folder: Path, seeds: dict[Role, str]) -> Iterator[str]:
    """nats-server in a container of its own, with everybody's rights; its URL."""
    port, monitor = free_port(), free_port()
    users = authorization([(role, public_key(seed)) for role, seed in seeds.items()])
    (folder / "authorization.conf").write_bytes(msgspec.json.encode(users))
    (folder / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\nhttp: "127.0.0.1:{monitor}"\n'
        'jetstream { store_dir: "/data", max_file_store: 100GB }\ninclude "authorization.conf"\n'
    )
    (folder / "data").mkdir(mode=0o777)
    (folder / "data").chmod(0o777)
    folder.chmod(0o755)
    options = [f"--volume={folder}:/etc/nats:ro", f"--volume={folder / 'data'}:/data"]
    with engine.container("nats", {}, "--config", "/etc/nats/nats.conf", options=options):
        answered(f"http://127.0.0.1:{monitor}/healthz")
        yield f"nats://127.0.0.1:{port}"


def answered(url: str, seconds: float = 120) -> str:
    """The body of the first 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own http URL
                return str(answer.read().decode())
        except OSError as error:
            if time.monotonic() > deadline:
                pytest.fail(f"{url} was not ready after {seconds:g} s: {error}")
            time.sleep(0.1)
