"""Finds out which server is meant, and with what credentials."""

import argparse
import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from client.command import logins
from client.command.parsers import Context, WrongUsage
from client.credentials import AccessToken, Password, chosen, server
from client.errors import ClientError
from client.whisper import AsyncWhisper


def connected(given: argparse.Namespace, context: Context, *, patience_seconds: float = 5.0) -> AsyncWhisper:
    """The client, with the credentials of the command line, the environment or the last login."""
    who = _given(given, context)
    if who is None:
        url = address(given, context)
        return AsyncWhisper(url, token=_stored(url, context).token, patience_seconds=patience_seconds)
    url = server(given.url, context.environ)
    if isinstance(who, AccessToken):
        return AsyncWhisper(url, token=who.token, patience_seconds=patience_seconds)
    return _by_password(url, who, patience_seconds)


def signed_in(given: argparse.Namespace, context: Context) -> tuple[AsyncWhisper, str]:
    """The client with a password, asked for where none is given, and the user's name."""
    url = address(given, context)
    stored = logins.read().servers.get(url)
    username = given.username or context.environ.get("WHISPER_USERNAME") or (stored and stored.username)
    username = username or _asked(_line, f"User name at {url}: ", "username")
    password = given.password or context.environ.get("WHISPER_PASSWORD")
    password = password or _asked(getpass.getpass, f"Password of {username}: ", "password")
    return _by_password(url, Password(username, password), 0.0), username


def address(given: argparse.Namespace, context: Context) -> str:
    """The server's address where a login is to be used or made."""
    url = given.url or context.environ.get("WHISPER_API_URL") or logins.read().last
    return server(url, context.environ)


def _by_password(url: str, who: Password, patience_seconds: float) -> AsyncWhisper:
    return AsyncWhisper(url, username=who.username, password=who.password, patience_seconds=patience_seconds)


def _given(given: argparse.Namespace, context: Context) -> AccessToken | Password | None:
    try:
        return chosen(None, given.username, given.password, context.environ)
    except ClientError as error:
        raise WrongUsage(str(error)) from error


def _stored(url: str, context: Context) -> logins.Login:
    found = logins.read().servers.get(url)
    again = f"{context.prog} login --url {url}"
    if found is None:
        raise WrongUsage(
            f"nobody is logged in at {url}: run `{again}`, or set WHISPER_TOKEN, "
            "or WHISPER_USERNAME and WHISPER_PASSWORD"
        )
    if found.expires_at is not None and found.expires_at < datetime.now(UTC):
        raise WrongUsage(f"the login at {url} expired on {found.expires_at:%Y-%m-%d}: run `{again}`")
    return found


def _asked(ask: Callable[[str], str], question: str, name: str) -> str:
    if not sys.stdin.isatty():
        raise WrongUsage(f"a {name} is needed: set WHISPER_{name.upper()} or give --{name}")
    try:
        answer = ask(question)
    except EOFError:
        answer = ""
    if not answer:
        raise WrongUsage(f"no {name} was given")
    return answer


def _line(question: str) -> str:
    """Asks on stderr: what is printed may go to a file."""
    print(question, end="", file=sys.stderr, flush=True)
    return input()
