"""The real AWS command line, kept warm: one process that has imported it answers every call, one by one.

It takes 0.03 s instead of 0.8 s, and a deployment makes fifty calls. The `aws` on PATH is a few lines of bash
that tell this process their number; arguments, environment, folder and streams are then read from /proc.
"""

import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COMMAND = """\
#!/bin/bash
[ -z "${STOP_AT:-}" ] || [[ "aws $*" != *"$STOP_AT"* ]] || kill -INT "$PPID"
exec 4<&0 5>&1 6>&2 3<>"/dev/tcp/127.0.0.1/$WARM_AWS_PORT"
echo "$$" >&3
read -r status <&3
exit "${status:-255}"
"""
WARMING = (
    ("cloudformation", "list-stacks"),
    ("ec2", "describe-vpcs"),
    ("ecr", "describe-repositories"),
    ("eks", "list-clusters"),
    ("elbv2", "describe-load-balancers"),
    ("iam", "list-roles"),
    ("sagemaker", "list-endpoints"),
    ("secretsmanager", "list-secrets"),
    ("service-quotas", "list-services"),
    ("sts", "get-caller-identity"),
)
"""Calls that reach nobody, but leave the descriptions of these services read."""
NOWHERE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_MAX_ATTEMPTS": "1",
    "NO_PROXY": "127.0.0.1",
}
STREAMS = {4: ("stdin", "r"), 5: ("stdout", "a"), 6: ("stderr", "a")}
"""Where a caller keeps what it was given: `>&3` and `<&3` put the socket in the usual places for a moment."""
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def warm_aws(folder: Path) -> Iterator[int]:
    """Its port, once it takes calls; `aws` lies in the folder."""
    command = folder / "aws"
    command.write_text(COMMAND)
    command.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.charts.warm_aws"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **NOWHERE},
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def serve() -> None:
    """Import, warm up, listen, and answer one call after the other."""
    from awscli.clidriver import create_clidriver

    driver = create_clidriver()
    new = {**vars(driver.session), "_config": None}
    for arguments in WARMING:
        driver.main(arguments)
    gc.freeze()  # what stays is not to be looked through again and again
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)  # noqa: T201  # what warm_aws reads
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):  # the caller may have been ended
                as_new(driver, new)
                status = _called(driver, Path("/proc") / connection.makefile().readline().strip())
                connection.sendall(f"{status}\n".encode())


def as_new(driver: Any, new: Mapping[str, object]) -> None:
    """Forget what the call before was told: options, profile, credentials, the files of its home.

    A new driver would be as slow as a fork: 0.06 s. `new` are the attributes of a session that nobody used.
    """
    driver._command_table = driver._argument_table = None
    vars(driver.session).update(new, _session_instance_vars={})


def _called(driver: Any, process: Path) -> int:
    """Become that process as far as a command can tell; the exit status."""
    arguments = (process / "cmdline").read_bytes().decode().split("\0")[2:-1]
    variables = (process / "environ").read_bytes().decode().split("\0")
    os.environ.clear()
    os.environ.update(dict(pair.split("=", 1) for pair in variables if "=" in pair))
    os.chdir(os.readlink(process / "cwd"))  # noqa: PTH115  # a link of /proc, not a path to follow
    if record := os.environ.get("RECORD"):
        with Path(record).open("a") as file:
            file.write(json.dumps(["aws", *arguments]) + "\n")
    with contextlib.ExitStack() as streams:
        for number, (name, mode) in STREAMS.items():
            flags = os.O_RDONLY if mode == "r" else os.O_WRONLY | os.O_APPEND
            opened = os.open(process / f"fd/{number}", flags | os.O_NONBLOCK)  # even if nobody reads it
            os.set_blocking(opened, True)
            streams.callback(setattr, sys, name, getattr(sys, name))
            setattr(sys, name, streams.enter_context(os.fdopen(opened, mode)))
        try:
            return int(driver.main(arguments) or 0)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except Exception:
            traceback.print_exc()
            return 255


if __name__ == "__main__":
    serve()
