"""The command line as a whole: subcommands, the old form without one, and what errors become."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from client.command import (
    account,
    check_hotwords,
    completion,
    finishing,
    hotword_lists,
    jobs,
    tokens,
    transcribe,
)
from client.command.outcome import EXIT_CODES, FAILED, INTERRUPTED, TERMINATED, WRONG_USAGE
from client.command.parsers import Context, Parsers, WrongUsage
from client.errors import ClientError

INSTALLED = "whisper-webui"
DESCRIPTION = "Sends recordings to a server of Whisper Web UI, shows their text as it comes, and saves it."
EPILOG = f"""\
PROG RECORDING is short for PROG transcribe RECORDING.
PROG COMMAND --help tells more of a command.

WHISPER_API_URL names the server. WHISPER_TOKEN, or WHISPER_USERNAME and WHISPER_PASSWORD, say who you are;
without them your last login is used.

{EXIT_CODES}
"""


def started() -> int:
    """What the installed command runs."""
    name = Path(sys.argv[0]).stem
    return main(sys.argv[1:], os.environ, "python -m client" if name == "__main__" else name)


def main(argv: Sequence[str], environ: Mapping[str, str], prog: str = INSTALLED) -> int:
    """Run the command and return its exit code."""
    given = parsed(argv, Context(environ, prog))
    try:
        return asyncio.run(_until_told(given.run(given, Context(environ, prog))))
    except WrongUsage as error:
        return _wrong(given.parser.prog, str(error))
    except ClientError as error:
        Console(stderr=True, soft_wrap=True).print(Text(str(error), style="bold red"))
        return FAILED
    except asyncio.CancelledError:
        return TERMINATED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit complains once more
        return FAILED


def built(context: Context) -> tuple[argparse.ArgumentParser, frozenset[str]]:
    """The whole parser, and the names of its subcommands."""
    parser = argparse.ArgumentParser(
        prog=context.prog,
        description=DESCRIPTION,
        epilog=EPILOG.replace("PROG", context.prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsers = Parsers(parser, context, "commands")
    transcribe.add(parsers)
    jobs.add(parsers)
    finishing.add(parsers)
    hotword_lists.add(parsers)
    account.add(parsers)
    tokens.add(parsers)
    check_hotwords.add(parsers)
    completion.add(parsers, lambda: built(Context(context.environ, INSTALLED))[0])
    return parser, parsers.names


def parsed(argv: Sequence[str], context: Context) -> argparse.Namespace:
    """What was given; exits 2 where it cannot be understood."""
    parser, names = built(context)
    given, rest = parser.parse_known_args(completed(argv, names))
    if any(word.startswith("-") for word in rest) or (rest and not hasattr(given, "recordings")):
        given.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # argparse takes one run of names only, and options may stand between them
        given.recordings += rest
    return given


def completed(argv: Sequence[str], names: frozenset[str]) -> list[str]:
    """With `transcribe` in front, where no subcommand and no call for help comes first."""
    first = argv[0] if argv else ""
    return list(argv) if first in names | {"-h", "--help"} else [transcribe.NAME, *argv]


def _wrong(prog: str, sentence: str) -> int:
    """As argparse does it, but for the usage, which would bury the sentence."""
    print(f"{prog}: error: {sentence}\nSee {prog} --help.", file=sys.stderr)
    return WRONG_USAGE


async def _until_told(work: Coroutine[Any, Any, int]) -> int:
    """The work; SIGTERM ends it as Ctrl-C does."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
