"""Takes recordings to their transcripts, so many at a time."""

import asyncio
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from client.command.display import Screen
from client.command.outcome import Outcome, gaps_of
from client.command.output import write
from client.command.parsers import STDOUT
from client.command.table import Rows
from client.errors import ClientError, JobEnded, Refused
from client.observer import Observer
from client.options import Options
from client.transcribing import Transcribing
from client.transcripts import Format
from client.whisper import AsyncWhisper


class Task(msgspec.Struct, frozen=True):
    """A recording, and where its transcript goes."""

    path: Path
    output: Path
    key: str | None = None
    """The idempotency key that it may have been sent under before."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How each recording is dealt with."""

    whisper: AsyncWhisper
    options: Options
    format: Format
    wait: bool
    json: bool
    heads: bool
    """Whether each transcript on standard output has its file's name above it."""
    prog: str

    async def of(self, task: Task, observer: Observer, screen: Screen) -> Outcome:
        """Take one recording to its transcript; raises what `Transcribing.run` does."""
        run = self.whisper.transcribing(
            task.path, self.options, key=task.key, known=task.key is not None, observer=observer
        )
        try:
            outcome = await self._done(task, run)
        except asyncio.CancelledError:
            screen.warn(f"{task.path}: {self._left(task, run)}")
            raise
        self.tell(outcome)
        return outcome

    def tell(self, outcome: Outcome) -> None:
        """For scripts, if they asked."""
        if self.json:
            line = msgspec.to_builtins(outcome) | {"status": outcome.status}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            sys.stdout.flush()

    async def _done(self, task: Task, run: Transcribing) -> Outcome:
        if not self.wait:
            job = await run.submit()
            return Outcome(file=str(task.path), job=job.id)
        job_id = await run.run()
        text = await self.whisper.transcript_as(job_id, self.format)
        if task.output == STDOUT and self.heads and self.format == "text":
            text = f"==> {task.path} <==\n{text}\n"
        await asyncio.to_thread(write, text, task.output)
        end = run.reading.end
        return Outcome(
            file=str(task.path),
            job=job_id,
            output=str(task.output),
            gaps=gaps_of(run.reading),
            notice=end.notice.message if end and end.notice else None,
            seconds=run.reading.total_seconds,
        )

    def _come_back(self, task: Task, run: Transcribing) -> str:
        words = [self.prog, "transcript", str(run.job_id), "--format", self.format]
        if task.output != STDOUT:
            words += ["--output", shlex.quote(str(task.output))]
        return " ".join([*words, "--url", self.whisper.url])

    def _left(self, task: Task, run: Transcribing) -> str:
        if run.stored:
            return f"Job {run.job_id} goes on at the server. To get its text:\n  {self._come_back(task, run)}"
        if run.job_id:
            return f"The upload is not whole; job {run.job_id} keeps the text of what arrived"
        return "Nothing was uploaded"


class Batch:
    """Some at a time, until all have ended; one that fails does not keep the others from their end."""

    def __init__(self, delivery: Delivery, rows: Rows, jobs: int) -> None:
        self._delivery = delivery
        self._rows = rows
        self._jobs = jobs

    async def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        """What became of each, in their order."""
        outcomes: dict[Path, Outcome] = {}
        waiting = iter(tasks)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._jobs, len(tasks))):
                    group.create_task(self._worker(waiting, outcomes))
        except* ClientError as errors:
            raise _first(errors) from None
        finally:
            if untouched := sum(1 for _ in waiting):
                self._rows.warn(f"{untouched} of {len(tasks)} recordings were not begun")
        return [outcomes[task.path] for task in tasks]

    async def _worker(self, waiting: Iterator[Task], outcomes: dict[Path, Outcome]) -> None:
        for task in waiting:
            row = self._rows.row(task.path.name)
            outcome = await one(self._delivery, task, row, self._rows)
            self._rows.ended(row, outcome)
            outcomes[task.path] = outcome


def failed(path: Path, error: ClientError) -> Outcome:
    """The outcome of a recording that could not be transcribed."""
    return Outcome(file=str(path), error=str(error), job=error.job if isinstance(error, JobEnded) else None)


def everyones(error: ClientError) -> bool:
    """Whether the next recording would be refused as well: it is about who asks, or about the options."""
    if not isinstance(error, Refused):
        return False
    return error.status in (401, 403) or error.code in ("invalid_option", "invalid_hotwords")


async def one(delivery: Delivery, task: Task, observer: Observer, screen: Screen) -> Outcome:
    """A recording's outcome, its failure too; raises where the next one would fail likewise."""
    try:
        return await delivery.of(task, observer, screen)
    except ClientError as error:
        if everyones(error):
            raise
        outcome = failed(task.path, error)
        delivery.tell(outcome)
        return outcome


def _first(errors: ExceptionGroup[ClientError]) -> ClientError:
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found
