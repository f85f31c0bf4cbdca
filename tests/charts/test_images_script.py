"""deploy/aws/images.sh with the real AWS command line against an emulated ECR; docker is stood in for."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiobotocore.session import get_session

from images.locks import EXTRAS
from tests.charts.dockerfiles import ROOT

SCRIPT = "deploy/aws/images.sh"
NEEDED = (
    "Dockerfile",
    "pyproject.toml",
    "charts/whisper-webui/values.yaml",
    "deploy/aws/third_parties.sh",
    SCRIPT,
)
TOOLS = ("awk", "bash", "cat", "dirname", "env", "git", "grep", "head", "sed")
REGION = "eu-west-1"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
CHINA = "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn"
DIGEST = f"sha256:{'ab' * 32}"
DOCKER = f"""\
#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$DOCKER_RECORD"
case "$*" in
  "login "*) cat >>"$DOCKER_RECORD" ;;
  *"imagetools inspect"*) echo {DIGEST} ;;
  "image inspect"*) echo 90800000 ;;
esac
"""
INDEX = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [],
}


class Shop(msgspec.Struct, frozen=True):
    """A committed copy of what the script reads, a PATH of few tools, and what docker was told."""

    root: Path
    tools: Path
    record: Path
    environ: dict[str, str]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / SCRIPT, *arguments],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def told(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []


@pytest.fixture
def shop(tmp_path: Path, aws_command: tuple[Path, int]) -> Shop:
    root, tools = tmp_path / "project", tmp_path / "tools"
    for name in NEEDED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True)
    tools.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tools / tool).symlink_to(found)
    aws, port = aws_command
    shutil.copy(aws / "aws", tools)
    (tools / "docker").write_text(DOCKER)
    (tools / "docker").chmod(0o755)
    environ = {
        "PATH": str(tools),
        "HOME": str(tmp_path),
        "WARM_AWS_PORT": str(port),
        "DOCKER_RECORD": str(tmp_path / "record"),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    return Shop(root, tools, tmp_path / "record", environ)


@pytest.fixture
async def ecr(shop: Shop, moto: str) -> AsyncIterator[Any]:
    """A client of the emulated ECR, to which the script's `aws` goes as well."""
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    shop.environ["AWS_ENDPOINT_URL"] = moto
    async with get_session().create_client("ecr", REGION, endpoint_url=moto, **keys) as client:
        yield client


def test_shellcheck_finds_nothing() -> None:
    command = ["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", str(ROOT / SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_help_names_every_option(shop: Shop) -> None:
    said = shop.run("--help").stdout
    assert "usage: deploy/aws/images.sh" in said
    text = (ROOT / SCRIPT).read_text()
    options = text[text.index("read_options() {") : text.index("identify() {")]
    for option in set(re.findall(r"--[a-z-]+", options)):
        assert option in said


def test_a_dry_run_shows_every_command_and_runs_none(shop: Shop) -> None:
    done = shop.run(
        "--push", "--registry", CHINA, "--tag", "1.0", "--dry-run", BASE_REGISTRY="mirror.example"
    )
    assert done.returncode == 0, done.stderr
    commands = done.stdout.splitlines()
    for service in EXTRAS:
        [command] = [line for line in commands if f"SERVICE={service} " in line]
        assert f"--tag {CHINA}/whisper-webui-{service}:1.0" in command
        assert "--platform linux/amd64\\,linux/arm64" in command
        assert "BASE_IMAGE=mirror.example/library/python:" in command
    [nats] = [line for line in commands if f"{CHINA}/nats:" in line]
    assert "mirror.example/library/nats:" in nats, "in China, images of others are copied, too"
    assert f"{CHINA}/natsio/nats-server-config-reloader:" in done.stdout
    assert all(line.startswith(("buildx version", "info")) for line in shop.told)


def test_images_for_this_machine_need_no_aws(shop: Shop) -> None:
    (shop.tools / "aws").unlink()
    done = shop.run("auth", PIP_INDEX_URL="https://index.example/simple")
    assert done.returncode == 0, done.stderr
    [build] = [line for line in shop.told if "buildx build" in line]
    assert "--load" in build
    assert f"@{DIGEST}" in build, "the base image by digest"
    assert "PIP_INDEX_URL=https://index.example/simple" in build
    assert "90 MB here" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["nginx"], "nginx is none of gateway auth chunker", 64),
        (["--tag"], "--tag needs a value", 64),
        (["--fast"], "--fast is no option", 64),
        (["--tag", "a b"], "--tag a b is no tag", 64),
        (["--push", "--registry", "example.com"], "--registry example.com is not ACCOUNT.dkr.ecr", 64),
        (["--push", "--registry", CHINA.removesuffix(".cn")], "registries of China end in .cn", 64),
    ],
)
def test_wrong_usage_is_named(shop: Shop, arguments: list[str], said: str, code: int) -> None:
    done = shop.run(*arguments)
    assert done.returncode == code
    assert f"error: {arguments[0] if said.startswith('--fast') else ''}" in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("docker", "neither docker nor podman is on PATH"),
        ("aws", "the AWS command line (aws) is not on PATH"),
    ],
)
def test_what_is_missing_is_named(shop: Shop, tool: str, said: str) -> None:
    (shop.tools / tool).unlink()
    done = shop.run("--push", "--registry", REGISTRY)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_what_is_not_committed_is_not_pushed(shop: Shop) -> None:
    (shop.root / "Dockerfile").write_text("FROM scratch\n")
    refused = shop.run("--push", "--registry", REGISTRY)
    assert refused.returncode == 2
    assert "there are changes that are not committed" in refused.stderr
    told = shop.run("--push", "--registry", REGISTRY, "--allow-dirty", "--dry-run", "auth").stdout
    assert "-dirty " in told, "the tag says so"


async def test_images_are_pushed_once(shop: Shop, ecr: Any) -> None:
    missing = shop.run("--push", "--registry", REGISTRY, "--tag", "1.0", "gateway")
    assert missing.returncode == 1
    assert "ECR has no repository whisper-webui-gateway" in missing.stderr
    await ecr.create_repository(repositoryName="whisper-webui-gateway")
    done = shop.run("--push", "--registry", REGISTRY, "--tag", "1.0", "gateway")
    assert done.returncode == 0, done.stderr
    assert f"login --username AWS --password-stdin {REGISTRY}" in shop.told
    [build] = [line for line in shop.told if "buildx build" in line]
    assert "--push" in build
    assert "--provenance=false" in build
    manifest = msgspec.json.encode(INDEX).decode()
    await ecr.put_image(repositoryName="whisper-webui-gateway", imageManifest=manifest, imageTag="1.0")
    again = shop.run("--push", "--registry", REGISTRY, "--tag", "1.0", "gateway")
    assert f"{REGISTRY}/whisper-webui-gateway:1.0 is there already" in again.stderr
    assert len([line for line in shop.told if "buildx build" in line]) == 1
