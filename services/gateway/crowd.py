"""How much may go on at the same time for one host, one user and the like, so that none takes all places."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping

from services.common.errors import Transient


class Crowded(Transient):
    """Too much of this kind goes on at the moment."""

    code = "crowded"


class Crowd:
    """Counts what goes on, by any keys."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, most: Mapping[str, int], *, retry_after: float) -> Iterator[None]:
        """Hold a place under each key, which has so many; raises `Crowded` where there is none left."""
        for key, limit in most.items():
            if self._inside[key] >= limit:
                raise Crowded(f"{limit} requests for {key} are under way", retry_after=retry_after)
        self._inside.update(most.keys())
        try:
            yield
        finally:
            self._inside.subtract(most.keys())
            for key in most:
                if not self._inside[key]:
                    del self._inside[key]
