"""Processes whose clocks can be set wrong while they run: libfaketime, told by a file for each of them."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LIBRARIES = "*/faketime/libfaketimeMT.so.1"
"""Below /usr/lib, where Debian's package `libfaketime` puts it."""
RIGHT = "+0"
AHEAD = "+1d"
BEHIND = "-1d"


class Clocks:
    """The wall clocks of processes, by name. Monotonic time and the times of files stay right."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        folder.mkdir(parents=True)
        self._files = {name: folder / name for name in names}
        for name in self._files:
            self.set(name, RIGHT)

    def set(self, name: str, offset: str) -> None:
        """From now on the process's clock is off by so much."""
        unfinished = self._files[name].with_suffix(".part")
        unfinished.write_text(offset)
        unfinished.rename(self._files[name])

    @contextlib.contextmanager
    def wrong(self, name: str, offset: str) -> Iterator[None]:
        """The process's clock is off by so much until the context closes."""
        self.set(name, offset)
        try:
            yield
        finally:
            self.set(name, RIGHT)

    def environ_of(self) -> Mapping[str, Mapping[str, str]]:
        """What each process needs in its environment."""
        library = next(Path("/usr/lib").glob(LIBRARIES), None)
        assert library is not None, "libfaketime is missing: apt-get install faketime"
        common = {
            "LD_PRELOAD": str(library),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name in older versions
            "NO_FAKE_STAT": "1",
        }
        return {name: {**common, "FAKETIME_TIMESTAMP_FILE": str(file)} for name, file in self._files.items()}
