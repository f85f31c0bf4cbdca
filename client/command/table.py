"""Many recordings at once on stderr: a row for each that is under way, and at the end what became of all."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from client.answers import Job, JobEvent
from client.command.display import Screen, outlook, uncut
from client.command.outcome import FAILED, GAPS, OK, Outcome
from client.command.times import clock
from client.observer import Observer
from client.reading import Reading

MOST_ROWS = 40
"""Of the last table; with more recordings it lists those that need looking at."""
STYLES = {OK: "green", GAPS: "yellow", FAILED: "bold red"}


class Rows(Screen):
    """Use as a context."""

    def __init__(self, *, quiet: bool, total: int | None, console: Console | None = None) -> None:
        super().__init__(quiet=quiet, console=console)
        self._progress = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[stage]:<12}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self._total = total
        self._done = 0
        self._all = self._progress.add_task(
            "[bold]all[/bold]", total=total, visible=total is not None, stage="", note=""
        )

    def __enter__(self) -> "Rows":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def row(self, name: str) -> "Row":
        """A row for one recording, until it has ended."""
        task = self._progress.add_task(escape(_short(name)), total=None, stage="", note="")
        return Row(self, self._progress, task, name)

    def ended(self, row: "Row", outcome: Outcome) -> None:
        """Its row makes way for a line that stays."""
        self._progress.remove_task(row.task)
        self._done += 1
        self._progress.update(self._all, completed=self._done, note=f"{self._done} of {self._total}")
        if outcome.code != OK or not (self.quiet or self._listed_later):
            self.console.print(Text(f"{outcome.file}: {_result(outcome)}", style=STYLES[outcome.code]))

    @property
    def _listed_later(self) -> bool:
        """Whether the table at the end will have it, and a row on the screen tells until then."""
        return self.live and self._total is not None and self._total <= MOST_ROWS


class Row(Observer):
    """One recording's row."""

    def __init__(self, rows: Rows, progress: Progress, task: TaskID, name: str) -> None:
        self._rows = rows
        self._progress = progress
        self._name = name
        self._stored = False
        self.task = task

    def uploaded(self, sent: int, size: int) -> None:
        if not self._stored:
            note = f"{sent / 1e6:,.1f} of {size / 1e6:,.1f} MB"
            self._progress.update(self.task, stage="uploading", completed=sent, total=size, note=note)

    def broke_off(self, cause: str) -> None:
        self._rows.warn(f"{self._name}: the upload broke off ({cause}); trying again.")

    def stored(self, job: Job) -> None:  # noqa: ARG002  # the table at the end names it
        self._stored = True
        self._progress.update(self.task, stage="transcribing", completed=0, total=None, note="")

    def heard(self, event: JobEvent, reading: Reading, texts: list[str]) -> None:  # noqa: ARG002  # too much for a row
        if self._stored:
            done, total = reading.done_seconds, reading.total_seconds
            note = clock(done) + (f" of {clock(total)}" if total else "") + outlook(reading)
            self._progress.update(self.task, completed=min(done, total or done), total=total, note=note)


def summary(outcomes: Sequence[Outcome]) -> Table:
    """What became of each recording; of very many, what became of those that are not simply done."""
    shown = outcomes if len(outcomes) <= MOST_ROWS else [one for one in outcomes if one.code != OK]
    table = Table("recording", uncut("job"), "result", title=_counts(outcomes), title_justify="left")
    for one in shown[:MOST_ROWS]:
        table.add_row(Text(one.file), one.job or "", Text(_result(one), style=STYLES[one.code]))
    if len(shown) > MOST_ROWS:
        table.add_row(f"and {len(shown) - MOST_ROWS} more", "", "")
    return table


def _counts(outcomes: Sequence[Outcome]) -> str:
    numbers = {word: sum(one.status == word for one in outcomes) for word in ("done", "gaps", "failed")}
    words = {"done": "done", "gaps": "with gaps", "failed": "failed"}
    return (
        ", ".join(f"{number} {words[word]}" for word, number in numbers.items() if number) or "nothing done"
    )


def _result(outcome: Outcome) -> str:
    if outcome.error is not None:
        return outcome.error
    gaps = f"{len(outcome.gaps)} without text" if outcome.gaps else ""
    return ", ".join(part for part in (outcome.output or "uploaded", gaps, outcome.notice) if part)


def _short(name: str, most: int = 32) -> str:
    return name if len(name) <= most else f"…{name[-(most - 1) :]}"
