"""What the person at the keyboard sees: facts and progress on stderr, results on stdout."""

import sys
from typing import TextIO


class Console:
    """A terminal gets one line of progress that changes; a log gets a line for each new state."""

    def __init__(self) -> None:
        self._state = ""
        self._line_open = False

    def result(self, text: str) -> None:
        """A line of what the command was asked for."""
        _write(sys.stdout, f"{text}\n")

    def say(self, text: str) -> None:
        """A line of what happens."""
        _write(sys.stderr, f"\n{text}\n" if self._line_open else f"{text}\n")
        self._line_open = False

    def progress(self, title: str, state: str, seconds: float) -> None:
        """How long `title` has been in `state`."""
        if sys.stderr.isatty():
            _write(sys.stderr, f"\r\x1b[K{title}: {state} {int(seconds) // 60}:{int(seconds) % 60:02}")
            self._line_open = True
        elif (key := f"{title}: {state}") != self._state:
            self._state = key
            _write(sys.stderr, f"{key}\n")


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
