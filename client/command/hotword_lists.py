"""`hotwords`: the lists of words that are stored on the server."""

import argparse
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.table import Table
from rich.text import Text

from client.command.connection import connected
from client.command.display import Screen, table_console
from client.command.outcome import OK
from client.command.output import write
from client.command.parsers import (
    METHODS,
    STDOUT,
    Context,
    Parsers,
    WrongUsage,
    add_job,
    add_json,
    add_server,
    complete_paths,
    words,
)
from client.command.times import when
from client.hotword_lists import ListHead
from client.whisper import AsyncWhisper

NAME = "a list's name; `default` is used by uploads that name no list"
KINDS = ("txt", "csv")


def add(parsers: Parsers) -> None:
    """The subcommands."""
    lists = parsers.group("hotwords", "keep lists of words on the server")
    listing = lists.add("list", run_list, "list the lists, your own and shared ones")
    add_json(listing)
    getting = lists.add("get", run_get, "print a list")
    getting.add_argument("--version", type=int, metavar="N", help="an older one, where the server has it")
    add_json(getting)
    setting = lists.add("set", run_set, "store words as a list, in place of what it held")
    importing = lists.add(
        "import", run_import, "store the words of a file: a word a line, or a CSV's first column"
    )
    exporting = lists.add("export", run_export, "write a list to a file")
    deleting = lists.add("delete", run_delete, "forget a list")
    applying = lists.add("apply", run_apply, "give a running job other words, for what is still to come")
    add_job(applying)
    either = applying.add_mutually_exclusive_group(required=True)
    either.add_argument("--list", metavar="NAME", help="a list as it is now")
    either.add_argument("--words", metavar="WORDS", help='separated by commas; "" for none')
    importing.add_argument("--encoding", metavar="NAME", help="such as gb18030 or utf-16; default: UTF-8")
    for parser in (getting, setting, importing, exporting, deleting):
        parser.add_argument("name", metavar="NAME", help=NAME)
    setting.add_argument("words", metavar="WORDS", help="separated by commas")
    setting.add_argument("--hotword-method", choices=METHODS)
    setting.add_argument("--boost", type=float, metavar="NATS", help="how strongly logit_bias pulls, 0 to 5")
    setting.add_argument("--if-version", type=int, metavar="N", help="only if this is the stored version")
    complete_paths(importing.add_argument("file", type=Path, metavar="FILE", help="- for standard input"))
    for parser in (getting, setting, importing, deleting):
        parser.add_argument("--shared", action="store_true", help="the list of all users; for administrators")
    exporting.add_argument("file", type=Path, nargs="?", default=STDOUT, help="default: standard output")
    for parser in (importing, exporting):
        parser.add_argument("--as", dest="kind", choices=KINDS, help="default: by the file's name, else txt")
    for parser in (listing, getting, setting, importing, exporting, deleting, applying):
        add_server(parser)


def run_list(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """List the lists."""
    return _listed(connected(given, context), given)


async def _listed(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        found = await whisper.hotwords.list()
    if given.json:
        print(msgspec.json.encode({"lists": found}).decode())
        return OK
    table = Table("list", "words", "version", "method", "changed", box=None)
    for one in found:
        name = Text(one.name + (" (shared)" if one.shared else ""))
        table.add_row(
            name,
            str(one.words),
            str(one.version),
            _method(one.method, one.boost_factor),
            when(one.updated_at),
        )
    table_console().print(table if found else "There are none.")
    return OK


def run_get(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Print a list."""
    return _got(connected(given, context), given)


async def _got(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        found = await whisper.hotwords.get(given.name, version=given.version, shared=given.shared)
    print(msgspec.json.encode(found).decode() if given.json else "\n".join(found.words))
    return OK


def run_set(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Store words."""
    return _set(connected(given, context), given)


async def _set(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        stored = await whisper.hotwords.set(
            given.name,
            words(given.words),
            method=given.hotword_method,
            boost_factor=given.boost,
            shared=given.shared,
            version=given.if_version,
        )
    return _told(stored)


def run_import(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Store a file's words."""
    try:
        data = sys.stdin.buffer.read() if given.file == STDOUT else given.file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"cannot read {given.file}: {error.strerror}") from error
    return _imported(connected(given, context), given, data)


async def _imported(whisper: AsyncWhisper, given: argparse.Namespace, data: bytes) -> int:
    async with whisper:
        stored = await whisper.hotwords.load(
            given.name, data, _kind(given), encoding=given.encoding, shared=given.shared
        )
    return _told(stored)


def _told(stored: ListHead) -> int:
    """How many words there are now shows at once that the file was another one, or empty."""
    words = "1 word" if stored.words == 1 else f"{stored.words} words"
    Screen(quiet=False).say(f"Stored as version {stored.version} of {stored.name}: {words}.")
    return OK


def run_export(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Write a list to a file."""
    return _exported(connected(given, context), given)


async def _exported(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        text = (await whisper.hotwords.export(given.name, _kind(given))).decode()
    write(text, given.file)
    return OK


def run_delete(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Forget a list."""
    return _deleted(connected(given, context), given)


async def _deleted(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        await whisper.hotwords.delete(given.name, shared=given.shared)
    return OK


def run_apply(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Change a job's words."""
    return _applied(connected(given, context), given)


async def _applied(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        await whisper.hotwords.apply(given.job, given.list or words(given.words))
    return OK


def _kind(given: argparse.Namespace) -> Literal["txt", "csv"]:
    return (
        "csv" if "csv" in (given.kind, given.file.suffix.lower()[1:] if given.kind is None else "") else "txt"
    )


def _method(method: str, boost_factor: float) -> str:
    return f"{method}, {boost_factor:g} nats" if method == "logit_bias" else method
