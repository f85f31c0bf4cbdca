"""The real AWS command line, kept warm: each call is a fork of a process that has imported it.

It takes 0.1 s instead of 0.8 s, and a deployment makes fifty calls. The `aws` on PATH is a few lines of bash
that tell this process their number; arguments, environment, folder and streams are then read from /proc.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

COMMAND = """\
#!/bin/bash
[ -z "${STOP_AT:-}" ] || [[ "aws $*" != *"$STOP_AT"* ]] || kill -INT "$PPID"
exec 3<>"/dev/tcp/127.0.0.1/$WARM_AWS_PORT"
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
    """Import, warm up, listen, and fork for each call."""
    from awscli.clidriver import create_clidriver

    driver = create_clidriver()
    for arguments in WARMING:
        driver.main(arguments)
    gc.freeze()
    gc.disable()  # a collection would touch, and so copy, all that a call shares with this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)  # noqa: T201  # what warm_aws reads
        while True:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    _answer(driver, connection)


def _answer(driver: object, connection: socket.socket) -> None:
    """In the child: become that process as far as a command can tell, and send its exit status."""
    status = 255
    try:
        process = Path("/proc") / connection.makefile().readline().strip()
        arguments = (process / "cmdline").read_bytes().decode().split("\0")[2:-1]
        variables = (process / "environ").read_bytes().decode().split("\0")
        os.environ.clear()
        os.environ.update(dict(pair.split("=", 1) for pair in variables if "=" in pair))
        os.chdir(os.readlink(process / "cwd"))  # noqa: PTH115  # a link of /proc, not a path to follow
        with contextlib.suppress(OSError):  # a socket cannot be opened again; nobody reads one here
            os.dup2(os.open(process / "fd/0", os.O_RDONLY), 0)
        for number in (1, 2):
            os.dup2(os.open(process / f"fd/{number}", os.O_WRONLY | os.O_APPEND), number)
        driver.session._credentials = None  # type: ignore[attr-defined]  # those that it was warmed up with
        if record := os.environ.get("RECORD"):
            with Path(record).open("a") as file:
                file.write(json.dumps(["aws", *arguments]) + "\n")
        status = driver.main(arguments) or 0  # type: ignore[attr-defined]  # awscli has no types
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):
            connection.sendall(f"{status}\n".encode())
        os._exit(0)


if __name__ == "__main__":
    serve()
