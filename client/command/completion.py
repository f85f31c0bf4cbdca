"""`completion`: what a shell needs to complete this command."""

import argparse
from collections.abc import Callable, Coroutine
from typing import Any

import shtab

from client.command.outcome import OK
from client.command.parsers import Context, Parsers

SHELLS = ("bash", "zsh", "fish", "powershell")
EPILOG = """\
for the current shell
  bash        eval "$(PROG completion bash)"
  zsh         PROG completion zsh > ~/.zfunc/_PROG     (a folder of your $fpath)
  fish        PROG completion fish | source
  powershell  PROG completion powershell | Out-String | Invoke-Expression
"""


def add(parsers: Parsers, whole: Callable[[], argparse.ArgumentParser]) -> None:
    """The subcommand; it describes the `whole` command line, as it is installed."""
    parser = parsers.add(
        "completion", run, "print what your shell needs to complete this command", epilog=EPILOG
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(whole=whole)


def run(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:  # noqa: ARG001  # nothing is asked of it
    """Print it."""

    async def printed() -> int:
        print(shtab.complete(given.whole(), given.shell))
        return OK

    return printed()
