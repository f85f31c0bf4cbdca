"""What a decoder is kept from on this machine: tried once at the start, and then for every decoder."""

import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from prometheus_client import Gauge

from services.chunker import confinement, system_calls
from services.common.errors import Misconfigured

LAUNCHER = Path(confinement.__file__)
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
"""All that a decoder may read, with what `LD_LIBRARY_PATH` names."""
LOADERS = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
)
"""What the kernel runs in order to load a program."""
INHERITED = ("PATH", "LD_LIBRARY_PATH")
"""All that the process inherits of ours: the NATS key and credentials of AWS are none of its business."""
TRIAL = ("-nostdin", "-v", "error", "-f", "s16le", "-i", "pipe:0", "-f", "s16le", "pipe:1")
"""What it does with a recording, on a small scale: another version may need other system calls for it."""
SILENCE = bytes(6_400)
TRIAL_SECONDS = 60.0

IN_FORCE = Gauge(
    "whisper_decoder_protection",
    "1 where this keeps decoders in, 0 where it is missing",
    ["protection"],
)


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a decoder, and what it is then kept from."""

    decoder: str
    """Path of ffmpeg."""
    in_force: tuple[str, ...] = confinement.PROTECTIONS
    missing: Mapping[str, str] = {}
    """Protections that cannot be had here, with the reason."""

    def command(self, arguments: Sequence[str], *, mode: str = confinement.ENFORCE) -> list[str]:
        """The command line of a decoder with these arguments."""
        readable = (*LIBRARIES, *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
        executable = (self.decoder, *LOADERS)
        lists = [os.pathsep.join(names) for names in (self.in_force, readable, executable)]
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), mode, *lists]
        return [*launcher, _filter().hex(), self.decoder, *arguments]


def environ() -> dict[str, str]:
    """The environment of a decoder."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def tried(*, required: bool = False) -> Sandbox:
    """What this machine allows, found by starting ffmpeg in it; takes about 0.2 s.

    Raises `Misconfigured` where ffmpeg does not run, and, if `required`, where a protection is missing.
    """
    found = shutil.which("ffmpeg")
    if found is None:
        raise Misconfigured("ffmpeg is not on PATH; install it")
    decoder = os.path.realpath(found)
    sandbox = _reduced(Sandbox(decoder=decoder))
    for name in confinement.PROTECTIONS:
        IN_FORCE.labels(name).set(name in sandbox.in_force)
    if required and sandbox.missing:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in sandbox.missing.items())
        raise Misconfigured(
            f"DECODER_SANDBOX_REQUIRED is set, and protections of the decoder are missing here: {reasons}. "
            "Use a newer kernel or a container runtime that allows them, or unset it."
        )
    return sandbox


def _reduced(whole: Sandbox) -> Sandbox:
    """`whole` without what fails here, or in which ffmpeg does not decode."""
    missing, failure = _trial(whole)
    if not _filter():
        missing[confinement.SYSTEM_CALLS] = f"no list of system calls for {platform.machine()}"
    if failure:
        _check_decoder(whole.decoder)
        missing |= _in_the_way(whole, failure)
    in_force = tuple(name for name in whole.in_force if name not in missing)
    return msgspec.structs.replace(whole, in_force=in_force, missing=missing)


def _check_decoder(decoder: str) -> None:
    _, failure = _trial(Sandbox(decoder=decoder, in_force=()))
    if failure:
        raise Misconfigured(f"{decoder} does not run: {failure}")


def _in_the_way(whole: Sandbox, failure: str) -> dict[str, str]:
    """The one protection that ffmpeg does not get along with, or all of them."""
    reason = f"ffmpeg does not decode in it: {failure}"
    for name in (confinement.SYSTEM_CALLS, confinement.FILES):
        others = tuple(other for other in whole.in_force if other != name)
        if not _trial(msgspec.structs.replace(whole, in_force=others))[1]:
            return {name: reason}
    return dict.fromkeys(whole.in_force, reason)


def _trial(sandbox: Sandbox) -> tuple[dict[str, str], str]:
    """Reasons by protection that failed; and what ffmpeg said where it did not decode a little silence."""
    with subprocess.Popen(
        sandbox.command(TRIAL, mode=confinement.TRY),
        env=environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as done:
        hung = threading.Timer(TRIAL_SECONDS, done.kill)
        hung.start()
        try:
            decoded, errors = done.communicate(SILENCE)
        finally:
            hung.cancel()
    said = errors.decode(errors="replace").splitlines()
    named = [line.removeprefix(confinement.MARK) for line in said if line.startswith(confinement.MARK)]
    reasons = dict(line.split(" ", 1) for line in named if line.split(" ", 1)[0] in sandbox.in_force)
    worked = done.returncode == 0 and decoded == SILENCE
    return reasons, "" if worked else (said or [f"exit code {done.returncode}"])[-1]


def _filter() -> bytes:
    return system_calls.program(platform.machine()) or b""
