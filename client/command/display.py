"""What a person sees on stderr: bars and the text as it comes; plain lines where it is no terminal."""

import functools
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from client.answers import Job, JobEvent
from client.command.times import clock
from client.observer import Observer
from client.reading import Reading

uncut = functools.partial(Column, no_wrap=True)
"""A column that is never cut short: what stands in it is copied."""


PIPED_COLUMNS = 10_000
"""Wider than any table: what goes to another program is cut short nowhere."""


def table_console() -> Console:
    """Where tables are shown: as wide as the terminal, and whole where stdout is none."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS)


class Screen:
    """Where sentences are shown."""

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)
        self.quiet = quiet

    @property
    def live(self) -> bool:
        """Whether there is a terminal on which something may move."""
        return self.console.is_terminal and not self.quiet

    def say(self, sentence: str) -> None:
        """Something worth knowing, unless quiet."""
        if not self.quiet:
            self.console.print(Text(sentence))

    def warn(self, sentence: str) -> None:
        """Something that must be seen."""
        self.console.print(Text(sentence, style="bold red"))


class Display(Screen, Observer):
    """Two bars for one recording. Use as a context; every method may be called at any time in between."""

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        super().__init__(quiet=quiet, console=console)
        self._progress = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}{task.fields[outlook]}"),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self._uploading = self._progress.add_task("Uploading", total=None, visible=False, note="", outlook="")
        self._transcribing = self._progress.add_task("Transcribing", total=None, note="", outlook="")
        self.reading = Reading()
        """What the events told last."""

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def uploaded(self, sent: int, size: int) -> None:
        note = f"{sent / 1e6:,.1f} of {size / 1e6:,.1f} MB"
        self._progress.update(self._uploading, completed=sent, total=size, note=note, visible=True)

    def broke_off(self, cause: str) -> None:
        self.warn(f"The upload broke off ({cause}); trying again.")

    def stored(self, job: Job) -> None:
        self.say(f"Uploaded as job {job.id}")

    def heard(self, event: JobEvent, reading: Reading, texts: list[str]) -> None:  # noqa: ARG002  # the sum says it all
        self.reading = reading
        done, total = reading.done_seconds, reading.total_seconds
        self._progress.update(
            self._transcribing,
            completed=min(done, total or done),
            total=total,
            note=clock(done) + (f" of {clock(total)}" if total else ""),
            outlook=outlook(reading),
        )
        if self.live:
            for text in texts:
                self.console.print(Text(text), soft_wrap=False)


def outlook(reading: Reading) -> str:
    """The job's place in line and the seconds left, as far as the server knows them."""
    place = "" if reading.position is None else f", number {reading.position} in line"
    left = "" if reading.seconds_left is None else f", about {clock(reading.seconds_left)} left"
    return place + left
