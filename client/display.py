"""What a person sees on stderr: two bars and the text as it comes; plain lines where it is no terminal."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text


class Display:
    """Use as a context; every method may be called at any time in between."""

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True)
        self._quiet = quiet
        self._progress = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}{task.fields[outlook]}"),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._uploading = self._progress.add_task("Uploading", total=None, note="", outlook="")
        self._transcribing = self._progress.add_task("Transcribing", total=None, note="", outlook="")

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def uploaded(self, sent: int, size: int) -> None:
        """Bytes read from the file so far; called from the thread that reads it."""
        note = f"{sent / 1e6:,.1f} of {size / 1e6:,.1f} MB"
        self._progress.update(self._uploading, completed=sent, total=size, note=note)

    def transcribed(self, done: float, total: float | None, texts: list[str]) -> None:
        """Seconds of audio done, of how many, and the next texts in order."""
        note = clock(done) + (f" of {clock(total)}" if total else "")
        self._progress.update(self._transcribing, completed=min(done, total or done), total=total, note=note)
        if self._console.is_terminal and not self._quiet:
            for text in texts:
                self._console.print(Text(text))

    def expected(self, position: int | None, seconds_left: float | None) -> None:
        """The job's place in line, 1 for the next one, and the seconds left; None where nobody knows."""
        place = "" if position is None else f", number {position} in line"
        left = "" if seconds_left is None else f", about {clock(seconds_left)} left"
        self._progress.update(self._transcribing, outlook=place + left)

    def say(self, sentence: str) -> None:
        """Something worth knowing, unless quiet."""
        if not self._quiet:
            self._console.print(Text(sentence))

    def warn(self, sentence: str) -> None:
        """Something that must be seen."""
        self._console.print(Text(sentence, style="bold red"))


def clock(seconds: float) -> str:
    """12:31, or 1:02:03 from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
