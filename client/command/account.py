"""`login` and `logout`: a token of one's own for this machine, so that no password need be kept."""

import argparse
import getpass
import platform
import sys
from collections.abc import Coroutine
from typing import Any

from client.command import logins
from client.command.connection import address, signed_in
from client.command.display import Screen
from client.command.logins import Login
from client.command.outcome import OK
from client.command.parsers import Context, Parsers, WrongUsage, add_server
from client.command.times import when
from client.whisper import AsyncWhisper

DAYS = 90
LOGIN = """\
Asks for your password, has the server make a token for this machine, and keeps the token, never the
password, in
  {place}
which only you can read. From then on commands for this server need neither variables nor options."""
LOGOUT = """\
Forgets the token that `login` kept for a server, and revokes it where the password is at hand."""


def add(parsers: Parsers) -> None:
    """The subcommands."""
    entering = parsers.add(
        "login", run_login, "keep a token for a server", description=LOGIN.format(place=logins.place())
    )
    entering.add_argument("--days", type=int, default=DAYS, help=f"how long it is valid, default {DAYS}")
    entering.add_argument(
        "--with-token", action="store_true", help="read a token that you have from standard input"
    )
    leaving = parsers.add("logout", run_logout, "forget the token of a server", description=LOGOUT)
    for parser in (entering, leaving):
        add_server(parser)


def run_login(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Log in."""
    if given.with_token:
        return _kept(address(given, context), _token())
    whisper, username = signed_in(given, context)
    return _made(whisper, username, given.days)


async def _made(whisper: AsyncWhisper, username: str, days: int) -> int:
    async with whisper:
        made = await whisper.tokens.create(f"whisper-webui on {platform.node()}", expires_in_days=days)
    login = Login(token=made.token, id=made.id, username=username, expires_at=made.expires_at)
    return _keep(whisper.url, login)


async def _kept(url: str, token: str) -> int:
    async with AsyncWhisper(url, token=token, patience_seconds=0.0) as whisper:
        me = await whisper.me()
    return _keep(url, Login(token=token, username=me.username))


def _keep(url: str, login: Login) -> int:
    logins.write(logins.read().having(url, login))
    name = f" as {login.username}" if login.username else ""
    until = f", until {when(login.expires_at)}" if login.expires_at else ""
    screen = Screen(quiet=False)
    screen.say(f"Logged in at {url}{name}{until}.")
    screen.say(f"The token is kept in {logins.place()}, which only you can read.")
    return OK


def _token() -> str:
    """Typed unseen, or piped in."""
    token = (getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not token:
        raise WrongUsage("no token was given")
    return token


def run_logout(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Log out."""
    url = address(given, context)
    known = logins.read()
    login = known.servers.get(url)
    if login is None:
        raise WrongUsage(f"nobody is logged in at {url}")
    return _left(url, known, login, given, context)


async def _left(
    url: str, known: logins.Logins, login: Login, given: argparse.Namespace, context: Context
) -> int:
    screen = Screen(quiet=False)
    password = given.password or context.environ.get("WHISPER_PASSWORD")
    revoked = bool(password and login.id)
    if revoked:
        whisper, _ = signed_in(given, context)
        async with whisper:
            await whisper.tokens.revoke(str(login.id))
    logins.write(known.without(url))
    screen.say(f"Logged out at {url}: the token is {'revoked' if revoked else 'gone from this machine'}.")
    if not revoked and login.id:
        screen.say(f"If somebody may have copied it: {context.prog} token revoke {login.id} --url {url}")
    return OK
