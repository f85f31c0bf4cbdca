"""`python -m services.dev`: run the whole system here until Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from dotenv import dotenv_values

from services.common.errors import Misconfigured, ServiceError
from services.dev.local import ROOT, Stack, StackOptions, local_stack
from services.dev.output import announce, show

DEFAULT_PORT = 8080


def main() -> None:
    """Exit 0 after Ctrl-C, 1 when a process died, 2 when the stack cannot start."""
    values = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    os.environ.update({name: value for name, value in values.items() if name not in os.environ})
    try:
        asyncio.run(_run(_options()))
    except Misconfigured as error:
        show("stack", f"cannot start: {error}")
        sys.exit(2)
    except ServiceError as error:
        show("stack", f"stopped: {error}")
        sys.exit(1)


def _options() -> StackOptions:
    port = _port(os.environ.get("PORT") or str(DEFAULT_PORT))
    return StackOptions(
        data=Path(os.environ.get("WHISPER_DATA") or ROOT / ".local").resolve(),
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
            _greet(stack, options.port)
            await stack.supervisor.until_one_dies()


def _greet(stack: Stack, port: int) -> None:
    if stack.notice:
        show("stack", f"WARNING: {stack.notice}")
    print(f"Ready: http://localhost:{port}  user: {stack.username}  password: {stack.password}", flush=True)


if __name__ == "__main__":
    main()
