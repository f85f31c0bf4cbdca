"""`python -m services.dev`: run the whole system here until Ctrl-C; or `trace JOB`, a job's way in it."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values

from services.common.errors import Misconfigured, ServiceError
from services.common.settings import ServiceSettings, load
from services.contracts.rights import Role
from services.dev.local import ROOT, Stack, StackOptions, local_stack
from services.dev.output import announce, show
from services.gateway import trace_command

DEFAULT_PORT = 8080
OPERATOR_FILE = "operator.env"


def main() -> None:
    """Exit 0 after Ctrl-C, 1 when a process died, 2 when the stack cannot start."""
    parser = argparse.ArgumentParser(prog="python -m services.dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help="without one: run everything")
    trace_command.add_parser(commands)
    given = parser.parse_args()
    values = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    os.environ.update({name: value for name, value in values.items() if name not in os.environ})
    if given.command is not None:
        sys.exit(_trace(given))
    try:
        asyncio.run(_run(_options()))
    except Misconfigured as error:
        show("stack", f"cannot start: {error}")
        sys.exit(2)
    except ServiceError as error:
        show("stack", f"stopped: {error}")
        sys.exit(1)


def _trace(given: argparse.Namespace) -> int:
    """The way of a job at the NATS that the environment names, or else of the stack that runs here."""
    file = _data() / OPERATOR_FILE
    found = {} if "NATS_URL" in os.environ or not file.exists() else dotenv_values(file)
    environ = {**os.environ, **{name: value for name, value in found.items() if value}}
    try:
        settings = load(ServiceSettings, environ)
    except Misconfigured as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    return trace_command.main(given, settings, Role.OPERATOR)


def _data() -> Path:
    return Path(os.environ.get("WHISPER_DATA") or ROOT / ".local").resolve()


@contextlib.contextmanager
def _operators(stack: Stack) -> Iterator[None]:
    """While the stack runs, a file that only this user can read says how to connect to its NATS."""
    file = _data() / OPERATOR_FILE
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    settings = stack.operator
    file.write_text(f"NATS_URL={settings.nats_url}\nNATS_NKEY_SEED={settings.nats_nkey_seed}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _options() -> StackOptions:
    port = _port(os.environ.get("PORT") or str(DEFAULT_PORT))
    return StackOptions(
        data=_data(),
        port=port,
        username=os.environ.get("WHISPER_USERNAME") or "admin",
        password=os.environ.get("WHISPER_PASSWORD") or None,
        model=os.environ.get("WHISPER_MODEL") or "auto",
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise SystemExit(f"PORT={text!r} is not a port: use a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise SystemExit(f"port {text} is taken ({error.strerror}): set PORT to another one") from error
    return int(text)


async def _run(options: StackOptions) -> None:
    main_task = asyncio.current_task()
    assert main_task is not None  # noqa: S101  # a coroutine that runs has its task
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # a second Ctrl-C must not break the first one's orderly end
            stopping = True
            show("stack", "stopping")
            main_task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: the terminal was closed
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        async with local_stack(options, announce) as stack:
            with _operators(stack):
                _greet(stack, options.port)
                await stack.supervisor.until_one_dies()


def _greet(stack: Stack, port: int) -> None:
    if stack.notice:
        show("stack", f"WARNING: {stack.notice}")
    print(f"Ready: http://localhost:{port}  user: {stack.username}  password: {stack.password}", flush=True)


if __name__ == "__main__":
    main()
