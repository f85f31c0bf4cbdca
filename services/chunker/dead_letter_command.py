"""`python -m services.chunker dead-letters`: list, retry or discard the work that was given up."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from services.chunker.dead_letters import DeadLetter, DeadLetters, NothingToRetryError
from services.common.bus import connect
from services.common.errors import Misconfigured, ServiceError
from services.common.logs import configure
from services.common.settings import ServiceSettings
from services.contracts.topology import MINIMUM_SERVER

NAME = "dead-letters"
CONNECT_SECONDS = 15.0
DONE, FAILED = 0, 1

DESCRIPTION = """\
Work is given up when it fails for good or for too long. Its job says so: a chunk becomes a gap, a recording
that could not be processed ends as failed. Of each message given up a dead letter is kept for 7 days."""
EPILOG = """\
exit codes
  0  done
  1  a letter could not be retried (the reason is printed), or NATS cannot be reached
  2  the command line or a setting is wrong

example
  python -m services.chunker dead-letters list
  python -m services.chunker dead-letters retry 17
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        NAME,
        help="list, retry or discard the work that was given up",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|retry|discard")
    actions.add_parser("list", help="every letter with its number, oldest first")
    retry = "put the work back: a message that still lies in its queue as it is, else all that its job lacks"
    for name, text in (("retry", retry), ("discard", "forget a letter; its job stays as it is")):
        action = actions.add_parser(name, help=text, description=text.capitalize())
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("numbers", nargs="*", type=int, default=[], metavar="NUMBER", help="as listed")
        which.add_argument("--all", action="store_true", help="every letter")


def main(given: argparse.Namespace, settings: ServiceSettings) -> int:
    """Run the command and return its exit code."""
    configure("chunker", "warning")
    try:
        return asyncio.run(_run(given, settings))
    except TimeoutError:
        print(f"NATS does not answer at {settings.nats_url}", file=sys.stderr)  # noqa: T201  # a command
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, Misconfigured) else FAILED
    return FAILED


async def _run(given: argparse.Namespace, settings: ServiceSettings) -> int:
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_SECONDS):
            bus = await stack.enter_async_context(connect(settings, "chunker", MINIMUM_SERVER))
        letters = DeadLetters(bus)
        known = await letters.all()
        if given.action == "list":
            _show(known)
            return DONE
        wanted = [letter.number for letter in known] if given.all else given.numbers
        results = [await _act(given.action, letters, number) for number in wanted]
        return DONE if all(results) else FAILED


async def _act(action: str, letters: DeadLetters, number: int) -> bool:
    """Retry or discard one letter, which an act before may have covered; whether that worked."""
    found = [letter for letter in await letters.all() if letter.number == number]
    try:
        for letter in found:
            if action == "discard":
                await letters.discard(letter)
            said = await letters.retry(letter) if action == "retry" else "discarded"
            _say(f"{number}: {said}")
    except NothingToRetryError as error:
        _say(f"{number}: {error}")
        return False
    if not found:
        _say(f"{number}: there is no such letter any more")
    return True


def _show(letters: Iterable[DeadLetter]) -> None:
    rows: list[tuple[str, ...]] = [
        ("NUMBER", "WHEN (UTC)", "STREAM", "SEQUENCE", "TRIES", "JOB", "SUBJECT", "WHY")
    ]
    rows += [_row(letter) for letter in letters]
    if len(rows) == 1:
        _say("There are no dead letters.")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        _say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _row(letter: DeadLetter) -> tuple[str, ...]:
    message = letter.message
    return (
        str(letter.number),
        datetime.fromtimestamp(message.at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        message.stream,
        str(message.sequence),
        str(message.deliveries),
        letter.job,
        message.subject,
        f"{message.problem.code}: {message.problem.message}",
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
