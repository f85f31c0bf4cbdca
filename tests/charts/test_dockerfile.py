"""The services' Dockerfile without a container engine: linters, lists of packages, an image's root."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from images.locks import EXTRAS, FOLDER, PYTHON, WITHOUT_DEPENDENCIES
from tests.charts.dockerfiles import FILES, ROOT, copied, instructions, reaches_builder, stages

TEXT = (ROOT / "Dockerfile").read_text()
SERVICES = tuple(EXTRAS)
BIN = Path(sys.executable).parent
PINNED = re.compile(r"([\w.-]+)==(\S+)((?: --hash=sha256:[0-9a-f]{64})+)")


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [str(BIN / "hadolint"), *map(str, FILES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_trivy_finds_nothing_high(tmp_path: Path) -> None:
    for number, file in enumerate(FILES):
        shutil.copy(file, tmp_path / f"{number}.Dockerfile")
    command = [str(BIN / "trivy"), "config", "--skip-check-update", "--skip-version-check", "--quiet"]
    done = subprocess.run(
        [*command, "--format", "json", str(tmp_path)], capture_output=True, text=True, check=True
    )
    results = json.loads(done.stdout)["Results"]
    assert len(results) == len(FILES), "it looked at both"
    faults = {fault["ID"] for result in results for fault in result.get("Misconfigurations", ())}
    assert faults == {"DS-0026"}, "only that there is no HEALTHCHECK: Kubernetes has probes"


def locked(service: str) -> dict[str, str]:
    """Versions by package; fails on a line that is not pinned by hash."""
    text = (FOLDER / f"{service}.txt").read_text().replace("\\\n", "")
    found = {}
    for line in text.splitlines()[1:]:
        pinned = PINNED.fullmatch(" ".join(line.split()))
        assert pinned, f"{service}.txt: {line}"
        found[pinned[1]] = pinned[2]
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(*extras: str) -> list[Requirement]:
    """Requirements of these extras of pyproject.toml, and of the extras that they take in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = (project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras))
    found = [Requirement(text) for texts in lists for text in texts]
    for inner in [requirement for requirement in found if requirement.name == project["name"]]:
        found.remove(inner)
        found += wanted(*inner.extras)
    return found


def applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    environment = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras | {""})


@pytest.mark.parametrize("service", SERVICES)
def test_the_lists_of_packages_are_those_of_pyproject(service: str) -> None:
    """Run `python -m images.locks` where this fails."""
    versions = locked(service)
    for requirement in wanted(*EXTRAS[service]):
        if applies(requirement, set()):
            assert versions.get(normal(requirement.name), "none") in requirement.specifier, requirement.name


@pytest.mark.parametrize("service", SERVICES)
def test_the_lists_of_packages_are_whole(service: str) -> None:
    """pip looks up nothing beside them. What each package needs is read from those installed here."""
    versions = locked(service)
    extras = {normal(requirement.name): requirement.extras for requirement in wanted(*EXTRAS[service])}
    for name in versions.keys() - {"audioop-lts", "silero-vad"}:
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if applies(needed, extras.get(name, set())):
                assert versions.get(normal(needed.name), "none") in needed.specifier, f"{name} needs {text}"


def test_the_chunker_hears_speech_by_the_version_that_set_up_installs() -> None:
    [version] = WITHOUT_DEPENDENCIES.findall((ROOT / "services/dev/setup.sh").read_text())
    assert f"silero-vad=={locked('chunker')['silero-vad']}" == version
    others = {name for service in SERVICES if service != "chunker" for name in locked(service)}
    assert not others & {"silero-vad", "onnxruntime"}


def test_every_service_has_its_image() -> None:
    services = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} - {"dev"}
    assert set(SERVICES) == services
    for service in services:
        entry = f'ENTRYPOINT ["/opt/venv/bin/python", "-m", "services.{service}"]'
        assert entry in stages(TEXT)[service], "exec form: signals reach Python"


def test_an_image_runs_without_rights_and_without_health_checks() -> None:
    assert "USER 10001:10001" in stages(TEXT)["runtime"]
    assert stages(TEXT)["runtime"][0] == "FROM scratch AS runtime"
    assert not any(line.startswith("HEALTHCHECK") for line in instructions(TEXT)), "Kubernetes has probes"


def test_an_image_says_what_it_was_made_from() -> None:
    runtime = " ".join(stages(TEXT)["runtime"])
    for label in ("source", "revision", "version", "created", "title", "licenses"):
        assert f"org.opencontainers.image.{label}=" in runtime
    assert "GIT_REVISION=${REVISION}" in runtime


@pytest.mark.parametrize("service", SERVICES)
def test_builders_get_what_is_copied(service: str) -> None:
    sources = [*copied(TEXT, SERVICE=service), *copied(FILES[1].read_text())]
    assert f"services/{service}" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert reaches_builder(source), source


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".local/password",
        ".setup/nats-server",
        "tests/conftest.py",
        "services/dev/local.py",
        "services/gateway/__pycache__/app.cpython-313.pyc",
        "deploy/aws/up",
        "sagemaker/deploy/up.py",
        "whisper.pem",
    ],
)
def test_builders_get_nothing_else(path: str) -> None:
    assert not reaches_builder(path)


def test_the_root_of_an_image_has_what_python_needs_and_no_shell(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change its root folder (chroot)")
    venv, target = tmp_path / "venv", tmp_path / "image"
    target.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    script = shutil.copy(ROOT / "images/root.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([venv / "bin/python", script, target, "ffmpeg"], check=True)
    check = (
        "import asyncio, ctypes, email, http.client, json, lzma, os, pwd, sqlite3, ssl, tempfile, zoneinfo\n"
        "os.setgid(10001); os.setuid(10001)\n"
        "tempfile.TemporaryFile().write(b'x')\n"
        "assert pwd.getpwuid(os.getuid()).pw_name == 'whisper'\n"
        "trusted = ssl.create_default_context(cafile='/etc/ssl/certs/ca-certificates.crt')\n"
        "assert len(trusted.get_ca_certs()) > 50\n"
        "import importlib.metadata; importlib.metadata.version('whisper-webui')\n"
        "os.execv('/usr/bin/ffmpeg', ['ffmpeg', '-version'])"
    )
    done = subprocess.run(
        ["chroot", target, venv / "bin/python", "-c", check], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("ffmpeg version"), done.stderr
    programs = {path.name for folder in ("bin", "sbin") for path in (target / "usr" / folder).glob("*")}
    python = {"python3", f"python3.{sys.version_info.minor}"}
    assert programs - python == {"ffmpeg"}, "no shell and no package manager"
    packages = {path.name for path in (target / "var/lib/dpkg/status.d").iterdir()}
    assert {"ffmpeg", "libc6"} <= packages, "scanners are told of them"
