"""The command line's parts that several subcommands share."""

import argparse
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import shtab

from client.credentials import DEFAULT_URL
from client.errors import ClientError

FORMATS = {"text": "txt", "srt": "srt", "vtt": "vtt", "json": "json"}
"""Formats of a transcript and the ending of their files."""
METHODS = ("prompt_injection", "logit_bias")
STDOUT = Path("-")


class WrongUsage(ClientError):
    """The command line or a setting cannot work; the exit code is 2."""


class Context(msgspec.Struct, frozen=True):
    """What surrounds a command."""

    environ: Mapping[str, str]
    prog: str
    """How the command is called, for sentences that name the next one."""


Run = Callable[[argparse.Namespace, Context], Coroutine[Any, Any, int]]
"""Reads what was given, asks what is missing, and returns the work itself; that returns the exit code."""


class Parsers:
    """Takes the subcommands; `prog` stands for the command's name in their epilogs."""

    def __init__(self, parent: argparse.ArgumentParser, context: Context, title: str) -> None:
        self._parsers = parent.add_subparsers(
            title=title, metavar="COMMAND", required=True, parser_class=argparse.ArgumentParser
        )
        self.context = context

    def add(
        self, name: str, run: Run | None, summary: str, *, description: str = "", epilog: str = ""
    ) -> argparse.ArgumentParser:
        """A subcommand whose work is `run`; `summary` is its line in the list."""
        parser = self._parsers.add_parser(
            name,
            help=summary,
            description=description or f"{summary[0].upper()}{summary[1:]}.",
            epilog=epilog.replace("PROG", self.context.prog),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=run, parser=parser)
        return parser

    @property
    def names(self) -> frozenset[str]:
        """Of all subcommands so far."""
        return frozenset(self._parsers.choices)

    def group(self, name: str, summary: str) -> "Parsers":
        """A subcommand with subcommands of its own."""
        return Parsers(self.add(name, None, summary), self.context, "commands")


def add_server(parser: argparse.ArgumentParser) -> None:
    """Which server, and who asks."""
    add = parser.add_argument_group("server and user").add_argument
    url = f"WHISPER_API_URL; default: where you logged in last, or {DEFAULT_URL}"
    add("--url", metavar="URL", help=url)
    add(
        "--username",
        metavar="NAME",
        help="WHISPER_USERNAME; without it WHISPER_TOKEN, or your login, is used",
    )
    add("--password", metavar="WORD", help="WHISPER_PASSWORD, which other users of this machine cannot see")


def add_format(parser: argparse.ArgumentParser, *, output: str) -> None:
    """What is written, and where."""
    add = parser.add_argument
    add("--format", choices=tuple(FORMATS), default="text", help="of the transcript, default: text")
    where = add("-o", "--output", metavar="PATH", help=output)
    complete_paths(where)
    add("-q", "--quiet", action="store_true", help="show errors and warnings only")


def add_json(parser: argparse.ArgumentParser, what: str = "print JSON instead") -> None:
    """For scripts."""
    parser.add_argument("--json", action="store_true", help=what)


def add_job(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Which job, or jobs."""
    parser.add_argument(
        "job", metavar="JOB", nargs="+" if several else None, help="the job's number, as `jobs` lists it"
    )


def complete_paths(action: argparse.Action) -> None:
    """Have the shell complete file names here."""
    action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it


def words(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(word for part in text.split(",") if (word := part.strip()))
