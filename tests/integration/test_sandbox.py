"""A decoder in the sandbox opens no file, reaches nobody and sees no process; where not, the log says so."""

import asyncio
import os
import platform
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from services.chunker import confinement, sandbox, system_calls
from services.chunker.decode import DecoderDidNotStart, decoded
from services.chunker.sandbox import Sandbox
from services.chunker.spool import Spool
from services.common.errors import Misconfigured
from tests.decoder import limits

TAKEN_OVER = """
import errno, os, socket, sys
from services.chunker import confinement
from services.chunker.sandbox import LIBRARIES
from services.chunker import system_calls
import platform

def attempt(name, work):
    try:
        work()
    except OSError as error:
        print(name, errno.errorcode[error.errno], flush=True)
    else:
        print(name, "done", flush=True)

files, parent = sys.argv[2], os.getppid()
program = system_calls.program(platform.machine())
confinement.confine(tuple(sys.argv[1].split(",")), (LIBRARIES[0],), (), program)
attempt("read", lambda: os.open("/etc/passwd", os.O_RDONLY))
attempt("write", lambda: os.open(files + "/new", os.O_WRONLY | os.O_CREAT))
attempt("append", lambda: os.open(files + "/old", os.O_WRONLY | os.O_APPEND))
attempt("list", lambda: os.open("/proc", os.O_RDONLY | os.O_DIRECTORY))
attempt("memory", lambda: os.open(f"/proc/{parent}/mem", os.O_RDONLY))
attempt("environment", lambda: os.open(f"/proc/{parent}/environ", os.O_RDONLY))
attempt("unlink", lambda: os.unlink(files + "/old"))
attempt("connect", lambda: socket.socket().connect(("127.0.0.1", int(sys.argv[3]))))
attempt("send", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("signal", lambda: os.kill(parent, 0))
attempt("ask", lambda: os.sched_getaffinity(parent))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("shell", lambda: os.execv("/bin/sh", ["sh", "-c", "echo shell done"]))
"""
"""What a decoder would try that runs somebody else's code: `TAKEN_OVER PROTECTIONS FOLDER PORT`."""
OF_FILES = {"read", "write", "append", "list", "memory", "environment"}
OF_CALLS = {"unlink", "connect", "send", "unix", "signal", "ask", "fork"}


@pytest.fixture(scope="module")
def kept() -> Sandbox:
    return limits().sandbox


def needs(kept: Sandbox, protection: str) -> None:
    """Skip where the kernel does not offer this, for its reason."""
    if protection not in kept.in_force:
        pytest.skip(f"{protection} cannot be had here: {kept.missing[protection]}")


@pytest.fixture
def canary() -> Iterator[tuple[int, list[bytes]]]:
    """A loopback port, and what anybody said there."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(1000))
                    if heard[-1] == b"end":
                        return

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], heard
        with socket.create_connection(server.getsockname()) as last:
            last.sendall(b"end")
        thread.join()


def attempts(protections: tuple[str, ...], folder: Path, port: int) -> dict[str, str]:
    """How each thing that code in a decoder might try came out."""
    (folder / "old").write_text("old")
    command = [sys.executable, "-c", TAKEN_OVER, ",".join(protections), str(folder), str(port)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
    )
    assert done.stdout, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_code_in_a_decoder_opens_no_file(
    kept: Sandbox, tmp_path: Path, canary: tuple[int, list[bytes]]
) -> None:
    needs(kept, confinement.FILES)
    found = attempts(kept.in_force, tmp_path, canary[0])
    assert {name: found[name] for name in OF_FILES} == dict.fromkeys(OF_FILES, "EACCES")
    assert found["shell"] == "EACCES"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_code_in_a_decoder_reaches_nobody_and_starts_nothing(
    kept: Sandbox, tmp_path: Path, canary: tuple[int, list[bytes]]
) -> None:
    needs(kept, confinement.SYSTEM_CALLS)
    port, heard = canary
    found = attempts(kept.in_force, tmp_path, port)
    assert {name: found[name] for name in OF_CALLS} == dict.fromkeys(OF_CALLS, "ENOSYS")
    assert heard == []


def test_files_and_network_are_out_of_reach_by_landlock_alone(
    kept: Sandbox, tmp_path: Path, canary: tuple[int, list[bytes]]
) -> None:
    """Where one protection has a hole, the other still stands."""
    needs(kept, confinement.FILES)
    found = attempts((confinement.PRIVILEGES, confinement.FILES), tmp_path, canary[0])
    assert {found[name] for name in (*OF_FILES, "unlink", "shell")} == {"EACCES"}


def test_without_the_sandbox_all_of_it_succeeds(tmp_path: Path, canary: tuple[int, list[bytes]]) -> None:
    """The attempts are real ones."""
    found = attempts((), tmp_path, canary[0])
    assert {name for name, outcome in found.items() if outcome != "done"} <= {"memory"}


def run(kept: Sandbox, *arguments: str, stdin: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    with (stdin or Path(os.devnull)).open("rb") as source:
        return subprocess.run(
            kept.command(["-v", "error", *arguments, "pipe:1"]),
            env=sandbox.environ(),
            stdin=source,
            capture_output=True,
            check=False,
        )


COPY = ("-map", "0", "-c", "copy", "-f", "data")


def test_ffmpeg_in_the_sandbox_cannot_open_a_file(kept: Sandbox) -> None:
    """The whitelists of `child.py` are not even asked here."""
    needs(kept, confinement.FILES)
    read = ("-f", "data", "-i", "/etc/passwd", *COPY)
    bare = msgspec.structs.replace(kept, in_force=())
    assert b"root:" in run(bare, *read).stdout
    refused = run(kept, *read)
    assert refused.stdout == b""
    assert b"Permission denied" in refused.stderr


def test_ffmpeg_in_the_sandbox_cannot_open_a_socket(kept: Sandbox, canary: tuple[int, list[bytes]]) -> None:
    needs(kept, confinement.SYSTEM_CALLS)
    port, heard = canary
    fetch = ("-f", "data", "-i", f"http://127.0.0.1:{port}/", *COPY)
    refused = run(kept, *fetch)
    assert refused.returncode
    assert heard == []
    run(msgspec.structs.replace(kept, in_force=()), *fetch)
    assert heard[0].startswith(b"GET / ")


def test_a_file_with_its_index_at_the_end_is_still_read_by_its_descriptor(
    kept: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"words")
    assert run(kept, "-f", "data", "-i", "/dev/fd/0", *COPY, stdin=path).stdout == b"words"


def test_it_takes_no_privileges(kept: Sandbox) -> None:
    """As Kubernetes runs it under "restricted": another user, no capabilities, none to be had."""
    if os.getuid():
        pytest.skip("only root can start it as another user; without root all of it runs as one already")
    restricted = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    restricted += ["--inh-caps=-all", "--no-new-privs"]
    launcher = Path(confinement.__file__)
    command = kept.command(["-v", "error", "-f", "lavfi", "-i", "anullsrc=d=1", "-f", "s16le", "pipe:1"])
    readable = subprocess.run(
        [*restricted, command[0], "-I", "-S", "-c", f"open({str(launcher)!r})"], check=False
    )
    if readable.returncode:
        pytest.skip(f"another user cannot read the project's folder ({launcher.parent})")
    done = subprocess.run(
        [*restricted, *command],
        env=sandbox.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert len(done.stdout) > 80_000, done.stderr


def metric(protection: str) -> float | None:
    return REGISTRY.get_sample_value("whisper_decoder_protection", {"protection": protection})


def test_the_metric_says_what_a_decoder_is_really_kept_from(
    tmp_path: Path, canary: tuple[int, list[bytes]]
) -> None:
    """The kernel's own word for a decoder that runs; and an attempt, for what it does not tell."""
    kept = sandbox.tried()
    with subprocess.Popen(
        kept.command(["-v", "error", "-f", "data", "-i", "pipe:0", *COPY, "pipe:1"]),
        env=sandbox.environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as decoder:
        about = Path(f"/proc/{decoder.pid}")
        while kept.decoder.encode() not in (about / "cmdline").read_bytes().split(b"\0")[0]:
            assert decoder.poll() is None
        status = dict(line.split(":\t", 1) for line in (about / "status").read_text().splitlines())
        decoder.kill()
    really = {
        confinement.PRIVILEGES: status["NoNewPrivs"] == "1",
        confinement.CAPABILITIES: int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0,
        confinement.SYSTEM_CALLS: status["Seccomp"] == "2",
        confinement.FILES: attempts(kept.in_force, tmp_path, canary[0])["read"] == "EACCES",
    }
    assert {name: metric(name) for name in confinement.PROTECTIONS} == really


def test_a_protection_that_cannot_be_had_is_named_and_may_be_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine whose system calls have other numbers the filter is missing, the rest is in force."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    found = sandbox.tried()
    assert confinement.SYSTEM_CALLS not in found.in_force
    assert "riscv64" in found.missing[confinement.SYSTEM_CALLS]
    assert confinement.PRIVILEGES in found.in_force
    assert metric(confinement.SYSTEM_CALLS) == 0
    assert metric(confinement.PRIVILEGES) == 1
    with pytest.raises(Misconfigured, match="no list of system calls for riscv64"):
        sandbox.tried(required=True)


def test_a_decoder_that_starts_but_cannot_decode_goes_without_what_is_in_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ffmpeg 7 was the first to call `dup`, and only once it had a recording. Here it cannot write."""
    monkeypatch.delitem(system_calls.NUMBERS, "write")
    found = sandbox.tried()
    assert "ffmpeg does not decode in it" in found.missing[confinement.SYSTEM_CALLS]
    others = tuple(name for name in limits().sandbox.in_force if name != confinement.SYSTEM_CALLS)
    assert found.in_force == others


@pytest.fixture
async def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, 1_000_000)


async def test_a_decoder_that_does_not_start_says_nothing_of_the_recording(spool: Spool) -> None:
    """The job is tried again; a machine that cannot start ffmpeg just now has not judged the file."""

    async def source() -> AsyncIterator[bytes]:
        yield b"RIFF" + bytes(5000)

    broken = msgspec.structs.replace(limits(), sandbox=Sandbox(decoder="/usr/lib/no-such-ffmpeg"))
    async with asyncio.timeout(20), decoded(source(), broken, spool) as decoding:
        with pytest.raises(DecoderDidNotStart, match="does not start: No such file"):
            [block async for block in decoding.blocks()]


def test_a_machine_whose_ffmpeg_does_not_run_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(Misconfigured, match="does not run"):
        sandbox.tried()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(Misconfigured, match="not on PATH"):
        sandbox.tried()


def test_the_numbers_of_system_calls_are_those_of_this_machine() -> None:
    headers = {
        "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
        "aarch64": "/usr/include/asm-generic/unistd.h",
    }
    found = {machine: Path(path) for machine, path in headers.items() if Path(path).exists()}
    if platform.machine() not in found:
        pytest.skip("the kernel's headers (linux-libc-dev) are not installed")
    for machine, path in found.items():
        place, _ = system_calls.ARCHITECTURES[machine]
        pattern = r"^#define __NR(?:3264)?_(\w+)\s+(\d+)"
        listed = {name: int(number) for name, number in re.findall(pattern, path.read_text(), re.MULTILINE)}
        listed.setdefault("newfstatat", listed.get("fstatat", -1))
        ours = {name: numbers[place] for name, numbers in system_calls.NUMBERS.items()}
        ours |= {name: rule[0][place] for name, rule in system_calls.CONDITIONAL.items()}
        assert {name: listed[name] for name, number in ours.items() if number is not None} == {
            name: number for name, number in ours.items() if number is not None
        }
