"""`token`: personal access tokens, for programs."""

import argparse
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.access_tokens import Scope
from client.command.connection import signed_in
from client.command.display import table_console, uncut
from client.command.outcome import OK
from client.command.parsers import Context, Parsers, add_json, add_server
from client.command.times import when
from client.whisper import AsyncWhisper

SCOPES: tuple[Scope, ...] = ("read", "transcribe")
CREATE = """\
Makes a token and prints it: the only time that it is shown. Give it to a program as WHISPER_TOKEN.
It takes your password, which is asked for: a token cannot make others."""


def add(parsers: Parsers) -> None:
    """The subcommands."""
    tokens = parsers.group("token", "make, list and revoke tokens for programs")
    creating = tokens.add("create", run_create, "make a token", description=CREATE)
    creating.add_argument("name", metavar="NAME", help="what it is for")
    creating.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated; default: both")
    creating.add_argument("--days", type=int, metavar="N", help="how long it is valid; default: the server's")
    add_json(creating)
    listing = tokens.add("list", run_list, "list your tokens")
    add_json(listing)
    revoking = tokens.add("revoke", run_revoke, "end tokens at once")
    revoking.add_argument("id", nargs="+", metavar="ID", help="as `token list` shows it")
    for parser in (creating, listing, revoking):
        add_server(parser)


def run_create(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Make a token."""
    return _created(signed_in(given, context)[0], given)


async def _created(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        scopes: Sequence[Scope] = given.scope or SCOPES
        made = await whisper.tokens.create(given.name, scopes, expires_in_days=given.days)
    if given.json:
        print(msgspec.json.encode(made).decode())
        return OK
    print(made.token, flush=True)
    until = f", valid until {when(made.expires_at)}" if made.expires_at else ""
    Console(stderr=True, soft_wrap=True).print(Text(f"Token {made.id}{until}. It is not shown again."))
    return OK


def run_list(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """List tokens."""
    return _listed(signed_in(given, context)[0], given)


async def _listed(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        found = await whisper.tokens.list()
    if given.json:
        print(msgspec.json.encode({"tokens": found}).decode())
        return OK
    table = Table(uncut("token"), "name", "may", "created", "last used", "valid until", box=None)
    for one in found:
        moments = (when(one.created_at), when(one.last_used_at) or "never", when(one.expires_at) or "revoked")
        table.add_row(one.id, Text(one.name), ", ".join(one.scopes), *moments)
    table_console().print(table if found else "There are none.")
    return OK


def run_revoke(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Revoke tokens."""
    return _revoked(signed_in(given, context)[0], given)


async def _revoked(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        for one in given.id:
            await whisper.tokens.revoke(one)
    return OK
