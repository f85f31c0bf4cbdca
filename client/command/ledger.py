"""What became of the recordings of a watched folder: read at the start, on disk after each step."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
import platformdirs

from client.command.logins import FOLDER
from client.errors import ClientError

KEEP_SECONDS = 90 * 86_400.0
"""So long an entry outlives its file: a drive that is away must not look like an empty one."""
LOCK_SECONDS = 30.0
TABLE = """\
CREATE TABLE IF NOT EXISTS recordings (
    server TEXT, folder TEXT, name TEXT, size INTEGER, modified_ns INTEGER, state TEXT, output TEXT, at REAL,
    PRIMARY KEY (server, folder, name)
)"""


class Stamp(msgspec.Struct, frozen=True):
    """Tells one content of a file from another without reading it."""

    size: int
    modified_ns: int


class State(StrEnum):
    """How far a recording has come."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


class Entry(msgspec.Struct, frozen=True):
    """One content of one file."""

    stamp: Stamp
    state: State
    output: str


class Ledger:
    """Of one folder and one server; may be used by several processes."""

    def __init__(self, server: str, folder: Path) -> None:
        self._whose = (server, str(folder.resolve()))
        self._path = platformdirs.user_state_path(FOLDER) / "watched.sqlite"

    def read(self) -> dict[str, Entry]:
        """Every entry by the file's name; forgets those of files that have not been there for long."""
        with self._opened() as database:
            database.execute("DELETE FROM recordings WHERE at < ?", (time.time() - KEEP_SECONDS,))
            rows = database.execute(
                "SELECT name, size, modified_ns, state, output FROM recordings "
                "WHERE server = ? AND folder = ?",
                self._whose,
            ).fetchall()
        return {
            name: Entry(Stamp(size, modified), State(state), output)
            for name, size, modified, state, output in rows
        }

    def write(self, name: str, entry: Entry) -> None:
        """Note how far a file has come; what is noted is on disk when this returns."""
        with self._opened() as database:
            values = (
                *self._whose,
                name,
                entry.stamp.size,
                entry.stamp.modified_ns,
                entry.state,
                entry.output,
            )
            database.execute(
                "INSERT OR REPLACE INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*values, time.time())
            )

    def still_there(self, names: list[str]) -> None:
        """The files are there: their entries are kept on."""
        with self._opened() as database:
            database.executemany(
                "UPDATE recordings SET at = ? WHERE server = ? AND folder = ? AND name = ?",
                [(time.time(), *self._whose, name) for name in names],
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._path, timeout=LOCK_SECONDS)) as database, database:
                database.execute(TABLE)
                yield database
        except (OSError, sqlite3.Error) as error:
            raise ClientError(f"cannot keep {self._path}: {error}") from error
