"""`transcribe`: recordings to their text, one or many, or all that come into a folder."""

import argparse
import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from client.command.batch import Batch, Delivery, Task, one
from client.command.connection import connected
from client.command.display import Display
from client.command.outcome import EXIT_CODES, exit_code
from client.command.parsers import (
    STDOUT,
    Context,
    Parsers,
    WrongUsage,
    add_format,
    add_json,
    add_server,
    complete_paths,
)
from client.command.recordings import Places, named
from client.command.report import report
from client.command.table import Rows, summary
from client.command.upload_options import add_options, options
from client.command.watching import Watching
from client.options import Options
from client.whisper import AsyncWhisper

NAME = "transcribe"
JOBS, MOST_JOBS = 4, 32
SETTLE_SECONDS = 10.0

DESCRIPTION = """\
Sends recordings to the server, shows their text as it comes, and saves it beside them.
A folder stands for the recordings in it."""
EPILOG = f"""\
The password is best given in WHISPER_PASSWORD: other users of this machine can see a command line.

{EXIT_CODES}
Of several recordings the worst counts.

examples
  PROG transcribe meeting.mp3 --hotwords "Katherine, Lynx"
  PROG transcribe recordings/ --recursive --format srt --output subtitles/
  PROG transcribe --watch incoming/ --output texts/
  PROG transcribe *.wav --json | jq -r 'select(.error) | .file'
"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    tasks: tuple[Task, ...]
    watch: Path | None
    recursive: bool
    settle_seconds: float
    options: Options
    format: Literal["text", "srt", "vtt", "json"]
    output: Path | None
    wait: bool
    jobs: int
    json: bool
    quiet: bool


def add(parsers: Parsers) -> None:
    """The subcommand."""
    parser = parsers.add(
        NAME, run, "send recordings and save their text", description=DESCRIPTION, epilog=EPILOG
    )
    add = parser.add_argument
    files = add("recordings", nargs="*", metavar="RECORDING", help="file or folder (WHISPER_AUDIO_FILE)")
    complete_paths(files)
    add("-r", "--recursive", action="store_true", help="folders within folders as well")
    add_format(
        parser,
        output="a file for one recording, a folder for several, - for standard output; "
        "default: NAME_transcript.txt beside each",
    )
    add("-j", "--jobs", type=_jobs, default=JOBS, metavar="N", help=f"recordings at once, default {JOBS}")
    add("--no-wait", action="store_true", help="leave the recordings to the server once they are uploaded")
    add_json(parser, "print a line of JSON for each recording that has ended")
    complete_paths(
        add("--watch", type=Path, metavar="DIR", help="transcribe what is in a folder and what comes into it")
    )
    add(
        "--settle",
        type=float,
        default=SETTLE_SECONDS,
        metavar="SECONDS",
        help=f"with --watch: a file unchanged for so long is complete, default {SETTLE_SECONDS:g}",
    )
    add_options(parser)
    add_server(parser)


def wanted(given: argparse.Namespace, environ: Mapping[str, str]) -> Wanted:
    """What the command line and the environment say; raises `WrongUsage` where it cannot work."""
    names = given.recordings or [name for name in [environ.get("WHISPER_AUDIO_FILE")] if name]
    if given.watch is not None:
        _check_watch(given)
        names = []
    elif not names:
        raise WrongUsage("which recording? Name a file, or set WHISPER_AUDIO_FILE")
    chosen = options(given, environ)
    found = named([Path(name) for name in names], recursive=given.recursive)
    if given.output == str(STDOUT):
        _check_stdout(given, several=len(found) > 1)
    return Wanted(
        tasks=_tasks(found, given.output, given.format),
        watch=given.watch,
        recursive=given.recursive,
        settle_seconds=given.settle,
        options=chosen,
        format=given.format,
        output=None if given.output is None else Path(given.output),
        wait=not given.no_wait,
        jobs=given.jobs,
        json=given.json,
        quiet=given.quiet,
    )


def run(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Transcribe."""
    asked = wanted(given, context.environ)
    whisper = connected(given, context)
    delivery = Delivery(
        whisper=whisper,
        options=asked.options,
        format=asked.format,
        wait=asked.wait,
        json=asked.json,
        heads=len(asked.tasks) > 1,
        prog=context.prog,
    )
    if asked.watch is not None:
        return _watch(asked, whisper, delivery, asked.watch)
    return _one(asked, whisper, delivery) if len(asked.tasks) == 1 else _many(asked, whisper, delivery)


async def _one(asked: Wanted, whisper: AsyncWhisper, delivery: Delivery) -> int:
    with Display(quiet=asked.quiet) as display:
        async with whisper:
            await whisper.login()
            outcome = await one(delivery, asked.tasks[0], display, display)
        report(outcome, display, delivery.prog)
    return outcome.code


async def _many(asked: Wanted, whisper: AsyncWhisper, delivery: Delivery) -> int:
    with Rows(quiet=asked.quiet, total=len(asked.tasks)) as rows:
        async with whisper:
            await whisper.login()
            outcomes = await Batch(delivery, rows, asked.jobs).run(asked.tasks)
    if not asked.quiet:
        rows.console.print(summary(outcomes))
    return exit_code(outcomes)


async def _watch(asked: Wanted, whisper: AsyncWhisper, delivery: Delivery, folder: Path) -> int:
    with Rows(quiet=asked.quiet, total=None) as rows:
        async with whisper:
            await whisper.login()
            return await Watching(
                delivery,
                rows,
                folder=folder,
                recursive=asked.recursive,
                places=Places(asked.output, asked.format),
                settle_seconds=asked.settle_seconds,
                jobs=asked.jobs,
            ).run()


def _tasks(found: list[tuple[Path, Path]], output: str | None, kind: str) -> tuple[Task, ...]:
    if output is not None and output != str(STDOUT) and len(found) == 1 and not _is_folder(output):
        return (Task(path=found[0][0], output=Path(output)),)
    places = Places(None if output is None else Path(output), kind)
    return tuple(Task(path=path, output=places.of(path, root)) for path, root in found)


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def _check_watch(given: argparse.Namespace) -> None:
    if given.recordings:
        raise WrongUsage("--watch takes a folder and no further recordings")
    if not given.watch.is_dir():
        raise WrongUsage(f"there is no folder {given.watch}")
    if given.output == str(STDOUT) or given.no_wait:
        raise WrongUsage("--watch writes files: it goes neither with --output - nor with --no-wait")


def _check_stdout(given: argparse.Namespace, *, several: bool) -> None:
    if given.json:
        raise WrongUsage("--json prints to standard output: --output must name another place")
    if several and given.format in ("srt", "vtt"):
        raise WrongUsage("subtitles of several recordings cannot share one output: name a folder in --output")


def _jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to {MOST_JOBS}")
    return number
