"""Gathers what one service needs to run, and nothing else, into the folder that becomes its image.

usage: VENV/bin/python root.py TARGET [PROGRAM...]    (in the stage of the Dockerfile that is thrown away)

Copies this interpreter and its standard library, its virtual environment, programs such as ffmpeg, the shared
libraries that any of them are linked against, certificates and the few files of /etc that libraries read. No
shell and no package manager comes along. Debian's packages of which anything was taken are listed where
scanners look them up in images without dpkg (/var/lib/dpkg/status.d); ours is named as in the pyproject.toml
beside this file.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

VENV = Path(sys.prefix)
STDLIB = Path(sysconfig.get_path("stdlib"))
USER, ID = "whisper", 10001
ETC = (
    "/etc/host.conf",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs/ca-certificates.crt",
)
MERGED = ("bin", "lib", "lib64", "sbin")
"""Links into /usr of Debian's root folder."""
NOT_OF_PYTHON = (
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "pydoc_data", "__pycache__"),
    *("ensurepip", "venv", "site-packages", "dist-packages"),
)
"""Folders of the standard library that no service needs: tests, Tk, and what installs packages."""
NOT_OF_VENV = (
    *("pip", "pip-*", "pip3*", "setuptools", "setuptools-*", "pkg_resources", "_distutils_hack"),
    *("distutils-precedence.pth", "[Aa]ctivate*", "__pycache__"),
)
"""What built the virtual environment."""
KEPT = {
    "botocore/data": (
        "secretsmanager",
        "sagemaker-runtime",
        "sso",
        "sso-oidc",
        "sts",
        "*.json",
    ),
    "silero_vad/data": ("silero_vad_16k_sequence.onnx", "__init__.py"),
}
"""Folders of the virtual environment of which few files are needed: descriptions of 400 AWS services, and the
speech detector in eight formats."""


def main(target: Path, programs: list[str]) -> None:
    """Fill `target`."""
    for link in (Path("/") / name for name in MERGED):
        if link.is_symlink():
            (target / link.name).symlink_to(link.readlink())
    taken = [*_interpreter(), *(Path(shutil.which(program) or program) for program in programs)]
    for path in taken:
        _copy(path, target)
    _copy_tree(STDLIB, target, NOT_OF_PYTHON)
    _copy_tree(VENV, target, NOT_OF_VENV)
    _prune(target / VENV.relative_to("/"))
    _add_ourselves(target / VENV.relative_to("/"))
    libraries = sorted(_libraries(target))
    for library in libraries:
        _copy(library, target)
    for file in map(Path, ETC):
        if file.exists():
            _copy(file, target)
    _add_user(target)
    (target / "tmp").mkdir(exist_ok=True)
    (target / "tmp").chmod(0o1777)
    subprocess.run(["ldconfig", "-r", target], check=True)
    _list_packages([*taken, *libraries, *STDLIB.glob("*.py"), *STDLIB.glob("*/*.so")], target)


def _interpreter() -> Iterator[Path]:
    """The way from the virtual environment to the interpreter, link by link."""
    path = VENV / "bin/python"
    while path.is_symlink():
        path = path.parent / path.readlink()
        if not path.is_relative_to(VENV):
            yield path


def _copy(path: Path, target: Path) -> None:
    """A file or folder at its own path; a link stays one where it leads to a neighbour."""
    place = target / (path.parent.resolve() / path.name).relative_to("/")
    if place.exists() or place.is_symlink():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place)
    elif path.is_symlink() and len(path.readlink().parts) == 1:
        place.symlink_to(path.readlink())
        _copy(path.parent / path.readlink(), target)
    else:
        shutil.copy2(path, place)


def _copy_tree(folder: Path, target: Path, without: Iterable[str]) -> None:
    place = target / folder.relative_to("/")
    shutil.copytree(folder, place, symlinks=True, ignore=shutil.ignore_patterns(*without))


def _prune(venv: Path) -> None:
    for name, kept in KEPT.items():
        for folder in venv.glob(f"lib/python*/site-packages/{name}"):
            wanted = {path for pattern in kept for path in folder.glob(pattern)}
            for path in set(folder.iterdir()) - wanted:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _add_ourselves(venv: Path) -> None:
    """The metadata of our own package, by which it knows its version."""
    project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    [packages] = venv.glob("lib/python*/site-packages")
    folder = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def _libraries(target: Path) -> set[Path]:
    """Shared libraries of the machine that anything in `target` is linked against, however far away.

    Raises where one of them is not installed.
    """
    files = [path for path in target.rglob("*") if path.is_file() and not path.is_symlink() and _is_elf(path)]
    said = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    if missing := {line.strip() for line in said.splitlines() if "not found" in line}:
        raise SystemExit(f"libraries are missing: {', '.join(sorted(missing))}")
    indented = [line.split() for line in said.splitlines() if line.startswith("\t")]
    linked = {word for words in indented for word in words if word.startswith("/")}
    return {Path(library) for library in linked if not Path(library).is_relative_to(target)}


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _add_user(target: Path) -> None:
    (target / "etc/passwd").write_text(f"{USER}:x:{ID}:{ID}::/tmp:/usr/sbin/nologin\n")
    (target / "etc/group").write_text(f"{USER}:x:{ID}:\n")


def _list_packages(files: Iterable[Path], target: Path) -> None:
    """What dpkg knows of the packages that these files are of."""
    names = {str(name) for file in files for name in (file, file.resolve())}
    names |= {name.removeprefix("/usr") for name in names}
    found = _dpkg_query("--search", names)
    owners = [line.rpartition(": ")[0] for line in found.splitlines() if not line.startswith("diversion ")]
    folder = target / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for status in _dpkg_query("--status", {name for several in owners for name in several.split(", ")}).split(
        "\n\n"
    ):
        name = status.partition("\n")[0].removeprefix("Package: ")
        (folder / name).write_text(status.strip() + "\n")


def _dpkg_query(question: str, about: Iterable[str]) -> str:
    command = ["dpkg-query", question, *sorted(about)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
