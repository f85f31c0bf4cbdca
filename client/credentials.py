"""Who asks: a user with a password, or a program with a token."""

import os
from collections.abc import Mapping

import msgspec

from client.errors import ClientError

DEFAULT_URL = "http://localhost:8080"


class Password(msgspec.Struct, frozen=True):
    """Exchanged for tokens that live some minutes, and are renewed in time."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Password({self.username!r}, ...)"


class AccessToken(msgspec.Struct, frozen=True):
    """A personal access token (`wwu_...`), sent as it is."""

    token: str

    def __repr__(self) -> str:
        return "AccessToken(...)"


Credentials = Password | AccessToken


def server(url: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The server's address: the one given, else WHISPER_API_URL's."""
    return (url or environ.get("WHISPER_API_URL") or DEFAULT_URL).rstrip("/")


def chosen(
    token: str | None, username: str | None, password: str | None, environ: Mapping[str, str] = os.environ
) -> Credentials | None:
    """What was given, else what WHISPER_TOKEN, or WHISPER_USERNAME and WHISPER_PASSWORD hold.

    Raises `ClientError` where half of a name and password is missing; None where nothing is there at all.
    """
    if token:
        return AccessToken(token)
    if not (username or password) and (token := environ.get("WHISPER_TOKEN")):
        return AccessToken(token)
    username = username or environ.get("WHISPER_USERNAME")
    password = password or environ.get("WHISPER_PASSWORD")
    if username and password:
        return Password(username, password)
    if username or password:
        raise ClientError(_missing("password" if username else "username"))
    return None


def _missing(name: str) -> str:
    return f"a {name} is needed: set WHISPER_{name.upper()} or give --{name}"
