"""The tokens of `login`, in a file that only its owner can read; never a password."""

from datetime import datetime
from pathlib import Path

import msgspec
import platformdirs

from client.command.output import replaced
from client.errors import ClientError

FOLDER = "whisper-webui"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A token for one server."""

    token: str
    id: str | None = None
    """The token's id at the server; None where the user brought the token along."""
    username: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Login(username={self.username!r}, token=...)"


class Logins(msgspec.Struct, frozen=True, kw_only=True):
    """All of a user's logins by the address of their server, and the address of the last one."""

    servers: dict[str, Login] = {}
    last: str | None = None

    def having(self, url: str, login: Login) -> "Logins":
        """With one more, which is the last."""
        return Logins(servers=self.servers | {url: login}, last=url)

    def without(self, url: str) -> "Logins":
        """With one fewer."""
        rest = {known: login for known, login in self.servers.items() if known != url}
        return Logins(servers=rest, last=next(iter(rest), None) if self.last == url else self.last)


def place() -> Path:
    """Where they are kept: under XDG_CONFIG_HOME, or this system's place for settings."""
    return platformdirs.user_config_path(FOLDER) / "logins.json"


def read() -> Logins:
    """What is kept."""
    path = place()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Logins)
    except FileNotFoundError:
        return Logins()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ClientError(f"{path} cannot be read ({error}): remove it, and log in again") from error


def write(logins: Logins) -> None:
    """Keep them, in one step."""
    path = place()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replaced(path, msgspec.json.encode(logins), mode=0o600)
    except OSError as error:
        raise ClientError(f"cannot write {path}: {error.strerror}") from error
