"""The fields around a recording, as they come: which a form may hold, and what they are called here."""

from collections.abc import Mapping
from typing import Protocol

from services.gateway.errors import InvalidRequest
from services.gateway.forms import check_known

MAX_FIELDS = 64
"""Three times as many as there are: reading many small ones costs more than one large."""


class Fields(Protocol):
    """Takes one field after the other, and tells our own options by name (`forms.FIELDS`)."""

    @property
    def most(self) -> int:
        """Parts that a form may have."""

    @property
    def either_side(self) -> bool:
        """Fields may stand before and after the file: what comes late may change the options."""

    @property
    def count(self) -> int:
        """Fields taken so far."""

    def put(self, name: str, value: str) -> None:
        """One more field; raises `InvalidRequest` or `InvalidOption`."""

    def check_whole(self) -> None:
        """The form is over; raises the same where something is missing."""

    def options(self) -> Mapping[str, str]:
        """What the fields so far mean."""


class OwnFields:
    """Fields that are called as our options are, each given once."""

    most = MAX_FIELDS
    either_side = False

    def __init__(self, only: tuple[str, ...] | None = None) -> None:
        """Fields outside `only` are ignored; without it, unknown ones are refused."""
        self._only = only
        self._values: dict[str, str] = {}

    @property
    def count(self) -> int:
        """Fields taken so far."""
        return len(self._values)

    def put(self, name: str, value: str) -> None:
        """One more field."""
        if self._only is not None and name not in self._only:
            return
        if self._only is None:
            check_known(name)
        if name in self._values:
            raise InvalidRequest(f"the field {name!r} is given twice", field=name)
        self._values[name] = value

    def check_whole(self) -> None:
        """No field has to be there."""

    def options(self) -> Mapping[str, str]:
        """The fields themselves."""
        return self._values
