"""compose.yaml without Docker: as Compose itself reads it, and what can be run of it here."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from aiobotocore.session import get_session

from endpoint.settings import EndpointSettings
from images.locks import EXTRAS
from services.auth.settings import Settings as Auth
from services.chunker.settings import Settings as Chunker
from services.dev import composed
from services.dev.moto_server import moto_server
from services.dev.nats_server import NatsServer
from services.dev.processes import free_port
from services.gateway.settings import Settings as Gateway
from services.provision.settings import Settings as Provision
from services.transcriber.settings import Settings as Transcriber
from tests.charts.dockerfiles import FILES, ROOT

SETTINGS: dict[str, type[msgspec.Struct]] = {
    "auth": Auth,
    "chunker": Chunker,
    "endpoint": EndpointSettings,
    "gateway": Gateway,
    "provision": Provision,
    "transcriber": Transcriber,
}
OF_AWS = re.compile(
    r"AWS_(REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|EC2_METADATA_DISABLED|ENDPOINT_URL_\w+)"
)
OURS = {"keys": "provision", "accounts": "auth", "sagemaker-runtime": "gateway"}
"""Image of each service that is none of its own."""
CREDENTIALS = {"AWS_REGION": "cn-north-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def composed_of(*files: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What Docker Compose makes of the files."""
    named = [argument for file in files for argument in ("--file", file)]
    command = [Path(sys.executable).with_name("docker-compose"), *named, "--env-file", os.devnull, "config"]
    return subprocess.run(
        [*map(str, command), "--format", "json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = composed_of("compose.yaml")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_with_aws_nothing_stands_in_for_it(services: dict[str, Any]) -> None:
    done = composed_of("compose.yaml", "compose.aws.yaml", **CREDENTIALS)
    left = json.loads(done.stdout)["services"]
    gone = {"secrets-manager", "accounts", "sagemaker-runtime", "endpoint"}
    assert services.keys() - left.keys() == gone
    for name in ("auth", "transcriber"):
        environ = left[name]["environment"]
        assert not any(value for key, value in environ.items() if key.startswith("AWS_ENDPOINT_URL_"))
        assert environ["AWS_ACCESS_KEY_ID"] == "key"
    assert "missing a value: set AWS_" in composed_of("compose.yaml", "compose.aws.yaml").stderr


def test_it_starts_every_service_from_its_image(services: dict[str, Any]) -> None:
    assert EXTRAS.keys() <= services.keys()
    arguments = {line.split()[1].partition("=")[0] for line in lines("ARG ")}
    for name, service in services.items():
        if not service["image"].startswith("whisper-webui-"):
            continue
        wanted = OURS.get(name, name)
        assert service["image"] == f"whisper-webui-{wanted}"
        assert service["build"]["args"]["SERVICE"] == wanted
        assert service["build"]["args"].keys() <= arguments


def lines(start: str) -> list[str]:
    return [line for file in FILES for line in file.read_text().splitlines() if line.startswith(start)]


def test_what_it_sets_are_settings(services: dict[str, Any]) -> None:
    for name, settings in SETTINGS.items():
        known = {field.name.upper() for field in msgspec.structs.fields(settings)}
        given = services[name].get("environment") or {}
        assert {key for key in given if not OF_AWS.fullmatch(key)} <= known, name


def test_containers_have_few_rights_and_listen_on_loopback(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges"], name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        if service["image"].startswith("whisper-"):
            assert service["read_only"], name


def test_what_it_mounts_is_there(services: dict[str, Any]) -> None:
    mounted = [mount for service in services.values() for mount in service.get("volumes", ())]
    assert all(Path(mount["source"]).exists() for mount in mounted if mount["type"] == "bind")
    rules = {
        mount["source"] for mount in mounted if mount["target"] in ("/etc/prometheus/rules", "/dashboards")
    }
    assert rules == {str(ROOT / "charts/whisper-webui" / name) for name in ("rules", "dashboards")}


def test_nats_is_the_charts(services: dict[str, Any]) -> None:
    image = yaml.safe_load((ROOT / "charts/whisper-webui/values.yaml").read_text())["nats"]["image"]
    assert services["nats"]["image"].endswith(f"/{image['repository']}:{image['tag']}")


def test_prometheus_takes_its_configuration_and_watches_everything(
    services: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "deploy/compose/prometheus.yml", tmp_path)
    shutil.copytree(ROOT / "charts/whisper-webui/rules", tmp_path / "rules")
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule files found" in done.stdout
    jobs = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets.keys() == SETTINGS.keys() - {"provision"}
    for name, [target] in targets.items():
        port = services[name].get("environment", {}).get("METRICS_PORT", "8080")
        assert target == f"{name}:{port}"


def test_grafana_finds_prometheus_and_the_dashboards(services: dict[str, Any]) -> None:
    folder = ROOT / "deploy/compose/grafana"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((folder / "dashboards/whisper.yaml").read_text())["providers"]
    places = {mount["target"] for mount in services["grafana"]["volumes"]}
    assert provider["options"]["path"] in places


async def test_its_keys_open_its_nats(tmp_path: Path) -> None:
    """Made once; a service becomes itself with its key, of which nats-server knows the public half."""
    composed.make_keys(tmp_path)
    seed = (tmp_path / "provision").read_text()
    composed.make_keys(tmp_path)
    assert (tmp_path / "provision").read_text() == seed, "what is stored was stored under these"
    server = NatsServer(tmp_path / "store", authorization=(tmp_path / "authorization.conf").read_bytes())
    await server.start()
    try:
        assert await command("composed", "provision", str(tmp_path), NATS_URL=server.url) == ""
        (tmp_path / "provision").write_text((tmp_path / "chunker").read_text())
        said = await command(
            "composed", "provision", str(tmp_path), NATS_URL=server.url, PROVISION_WAIT_SECONDS="2"
        )
        assert "provisioning_failed" in said, "a chunker's key does not declare streams"
    finally:
        await server.stop()


def test_its_nats_starts_with_what_was_made(tmp_path: Path) -> None:
    composed.make_keys(tmp_path)
    config = tmp_path / "nats.conf"
    config.write_text(config.read_text().replace("/data", str(tmp_path / "data")))
    done = subprocess.run(
        [ROOT / ".setup/nats-server", "--config", config, "-t"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_its_account_is_stored_as_soon_as_secrets_manager_is_there() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": url, "WHISPER_USERNAME": "ann"}
    assert "WHISPER_PASSWORD is empty" in await command("credentials", **environ)
    storing = asyncio.create_task(command("credentials", WHISPER_PASSWORD="secret", **environ))
    async with moto_server(port):
        assert await storing == ""
        session = get_session()
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        async with session.create_client(
            "secretsmanager", Auth().aws_region, endpoint_url=url, **keys
        ) as client:
            secret = (await client.get_secret_value(SecretId=Auth().secret_name))["SecretString"]
    [(name, account)] = json.loads(secret).items()
    assert (name, account["roles"]) == ("ann", ["admin"])
    assert account["password_hash"].startswith("$argon2id$")


async def command(module: str, *arguments: str, **environ: str) -> str:
    """What a command of services.dev has to complain about."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"services.dev.{module}", *arguments),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_LEVEL": "error", **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode()
