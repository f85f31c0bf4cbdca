"""The Dockerfile without a container engine: what it copies exists, and `serve` starts from just that."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from services.dev.processes import free_port

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "sagemaker/Dockerfile").read_text()
LINES = [line for line in TEXT.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


def arguments(instruction: str) -> list[str]:
    """What follows each `instruction`, in order."""
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{instruction} ")]


def copied() -> list[tuple[str, str]]:
    """Source in the project and target in the image of each COPY from the project into the last stage."""
    last = TEXT[TEXT.rindex("\nFROM ") :]
    return re.findall(r"^COPY (?:--chmod=\d+ )?(?!--from)(\S+) (\S+)$", last, re.MULTILINE)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The last stage's files from the project, under a folder that stands for its root."""
    for source, target in copied():
        place = tmp_path / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, place)
    return tmp_path


def test_serve_starts_from_what_is_copied_and_ends_on_sigterm(image: Path, tmp_path: Path) -> None:
    [link] = re.findall(r"ln -s (\S+) /usr/local/bin/serve", TEXT)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/serve").symlink_to(image / link.lstrip("/"))
    port = free_port()
    environ = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONDONTWRITEBYTECODE": "1",
        "WHISPER_MODEL": str(ROOT / ".setup/models/whisper-duo"),
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    [command] = arguments("CMD")
    with subprocess.Popen(
        json.loads(command), env=environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:
            wait_for_ping(port, server)
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0, "the shell has made way for Python, which heard the signal"
        finally:
            server.kill()


def wait_for_ping(port: int, server: subprocess.Popen[bytes]) -> None:
    """Any answer will do: the model may still be loading."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, server.stdout and server.stdout.read().decode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail("no answer in 60 s")


def test_versions_come_from_pyproject(tmp_path: Path) -> None:
    [extraction] = re.findall(r'(python3 -c "import tomllib.*?" > requirements.txt)', "\n".join(LINES))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = subprocess.run(
        ["sh", "-c", extraction.replace("python3", sys.executable)], cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["endpoint"]]
    assert (tmp_path / "requirements.txt").read_text().splitlines() == wanted
    assert all("==" in requirement for requirement in wanted)


def test_it_runs_without_root_rights() -> None:
    assert arguments("USER") == ["${USER_ID}"]
    assert "USER_ID=10001" in arguments("ARG")
    assert not arguments("ENTRYPOINT"), "SageMaker's `serve` is the command itself"


def test_what_the_command_sets_is_known_to_the_dockerfile() -> None:
    known = {argument.partition("=")[0] for argument in arguments("ARG")}
    assert {"MODEL", "BASE_IMAGE", "PIP_INDEX_URL", "TORCH_INDEX_URL", "HF_ENDPOINT"} <= known
