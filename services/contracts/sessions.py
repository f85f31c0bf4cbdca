"""Names of sessions: each tells whose it is and since when, so that all of a user's can be ended at once."""

import secrets
from collections.abc import Iterable

MOMENT_DIGITS = 14
"""Of microseconds since 1970, hexadecimal: enough until the year 4253, and as text in the order of time."""


def moment(seconds: float) -> str:
    """A Unix time (s) as it stands in names."""
    return f"{int(seconds * 1_000_000):0{MOMENT_DIGITS}x}"


def session_id(owner: str, begins: float) -> str:
    """A new session of this owner (`identifiers.owner_token`); one subject token."""
    return f"{owner}-{moment(begins)}-{secrets.token_hex(16)}"


def owner_of(session: str) -> str:
    """Whose session it is."""
    return session.partition("-")[0]


def everything_of(owner: str, until: float) -> str:
    """The mark that ends an owner's sessions that began until then (Unix time, s); two subject tokens."""
    return f"{owner}.{moment(until)}"


class EndedSessions:
    """Sessions that were ended: by themselves, or with all others that their owner had until a moment."""

    def __init__(self, marks: Iterable[str] = ()) -> None:
        """A mark is the name of a session, or what `everything_of` gives."""
        self.marks: set[str] = set()
        self._until: dict[str, str] = {}
        for mark in marks:
            self.add(mark)

    def add(self, mark: str) -> None:
        """One more session, or one more moment."""
        self.marks.add(mark)
        owner, dot, until = mark.partition(".")
        if dot:
            self._until[owner] = max(until, self._until.get(owner, ""))

    def __contains__(self, session: str) -> bool:
        return session in self.marks or self._ended_with_all(session)

    def _ended_with_all(self, session: str) -> bool:
        owner, _, rest = session.partition("-")
        return rest[:MOMENT_DIGITS] <= self._until.get(owner, "") if rest else False
