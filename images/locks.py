"""Writes images/requirements/<service>.txt: every package of a service's image, pinned by hash.

usage: python -m images.locks    (with `uv` on PATH; needs the package index)

Taken from pyproject.toml, for Linux on amd64 and arm64 and for the Python of the images. Where a package has
wheels only those are listed, so that none of its code runs while an image is built; build.txt holds what
builds the others.
"""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "images/requirements"
EXTRAS = {
    "auth": ("auth", "tracing"),
    "chunker": ("chunker", "tracing"),
    "gateway": ("gateway", "tracing"),
    "provision": ("bus",),
    "transcriber": ("transcriber", "tracing"),
}
"""Extras of pyproject.toml by service."""
PYTHON = "3.13"
BUILDER = "setuptools>=77"
"""The same as pyproject.toml's build-system."""
WITHOUT_DEPENDENCIES = re.compile(r"--no-deps (silero-vad==\S+)")
"""As set-up installs it: its own dependencies are torch and torchaudio, the chunker needs its model file."""

_TAG = PYTHON.replace(".", "")
USABLE = re.compile(
    rf"-(py3|py2\.py3|cp{_TAG}-cp{_TAG}|cp3\d+-abi3)-?(none)?-(any|\S*manylinux\S*_(x86_64|aarch64))\.whl$"
)
"""Names of wheels that an image can take."""
HEADER = f"# Made by `python -m images.locks` for Python {PYTHON}; do not edit.\n"


def main() -> None:
    """Write the files anew."""
    for service, extras in EXTRAS.items():
        packages = _resolved("pyproject.toml", *(f"--extra={extra}" for extra in extras))
        if service == "chunker":
            packages += _resolved("-", "--no-deps", requirements=_speech_model())
        _write(service, packages)
    _write("build", _resolved("-", requirements=BUILDER))


def _speech_model() -> str:
    [found] = WITHOUT_DEPENDENCIES.findall((ROOT / "services/dev/setup.sh").read_text())
    return str(found)


def _resolved(*arguments: str, requirements: str = "") -> list[dict[str, Any]]:
    """Packages as PEP 751 describes them, with the address and hash of each of their files."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON]
    command += ["--generate-hashes", "--format", "pylock.toml", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, input=requirements, text=True, check=True, stdout=subprocess.PIPE
    )
    packages: list[dict[str, Any]] = tomllib.loads(done.stdout)["packages"]
    return [package for package in packages if "win32" not in package.get("marker", "")]


def _write(name: str, packages: list[dict[str, Any]]) -> None:
    (FOLDER / f"{name}.txt").write_text(HEADER + "".join(map(_line, packages)))


def _line(package: dict[str, Any]) -> str:
    hashes = [f"    --hash=sha256:{digest}" for digest in sorted(_hashes(package))]
    return " \\\n".join([f"{package['name']}=={package['version']}", *hashes]) + "\n"


def _hashes(package: dict[str, Any]) -> list[str]:
    wheels = package.get("wheels", ())
    files = [wheel for wheel in wheels if USABLE.search(wheel["url"])] if wheels else [package["sdist"]]
    if not files:
        raise SystemExit(f"{package['name']} {package['version']} has no wheel for Linux and Python {PYTHON}")
    return [file["hashes"]["sha256"] for file in files]


if __name__ == "__main__":
    main()
