"""`jobs`, `show`, `cancel` and `delete`: what the server has of one's recordings."""

import argparse
import contextlib
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.answers import Job
from client.command.connection import connected
from client.command.display import table_console, uncut
from client.command.outcome import FAILED, OK
from client.command.parsers import Context, Parsers, add_job, add_json, add_server
from client.command.report import missing
from client.command.times import clock, when
from client.errors import ClientError, Refused
from client.transcripts import Transcript
from client.whisper import AsyncWhisper

LIMIT = 20
STYLES = {"completed": "green", "failed": "bold red", "interrupted": "yellow", "running": "cyan"}


def add(parsers: Parsers) -> None:
    """The subcommands."""
    listing = parsers.add("jobs", run_jobs, "list your recordings, newest first")
    listing.add_argument(
        "-n", "--limit", type=int, default=LIMIT, help=f"how many, 0 for all; default {LIMIT}"
    )
    listing.add_argument("--status", help="only those that are queued, running, completed, ...")
    add_json(listing, "print a line of JSON for each")
    showing = parsers.add("show", run_show, "tell how a job stands, and what it lacks")
    add_job(showing)
    add_json(showing)
    cancelling = parsers.add("cancel", run_each, "end jobs; they keep the text that they have")
    deleting = parsers.add("delete", run_each, "erase jobs: their recordings and their text")
    for parser in (cancelling, deleting):
        add_job(parser, several=True)
        parser.set_defaults(erase=parser is deleting)
    for parser in (listing, showing, cancelling, deleting):
        add_server(parser)


def run_jobs(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """List jobs."""
    return _listed(connected(given, context), given)


async def _listed(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    table = Table(uncut("job"), "name", "status", "length", uncut("created"), box=None)
    left = given.limit or sys.maxsize
    async with whisper, contextlib.aclosing(whisper.jobs()) as jobs:
        async for job in jobs:
            if given.status and job.status != given.status:
                continue
            if given.json:
                print(msgspec.json.encode(job).decode(), flush=True)
            else:
                table.add_row(*_row(job))
            if (left := left - 1) <= 0:
                break
    if not given.json:
        table_console().print(table if table.row_count else "There are none.")
    return OK


def _row(job: Job) -> tuple[str, Text, Text, str, str]:
    percent = f" {job.progress.percent:.0f} %" if job.progress and job.status == "running" else ""
    length = "" if job.duration is None else clock(job.duration)
    status = Text(job.status + percent, style=STYLES.get(job.status, ""))
    return job.id, Text(job.name), status, length, when(job.created_at)


def run_show(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Show a job."""
    return _shown(connected(given, context), given)


async def _shown(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper:
        job = await whisper.job(given.job)
        transcript = await whisper.transcript(given.job)
    if given.json:
        gaps = msgspec.to_builtins(transcript.gaps)
        print(msgspec.json.encode(msgspec.to_builtins(job) | {"gaps": gaps}).decode())
        return OK
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(job, transcript):
        table.add_row(name, Text(value))
    Console().print(table)
    return OK


def _facts(job: Job, transcript: Transcript) -> Iterator[tuple[str, str]]:
    yield "job", job.id
    yield "name", job.name
    yield "status", job.status
    yield "created", when(job.created_at)
    if job.ended_at:
        yield "ended", when(job.ended_at)
    if job.duration is not None:
        yield "length", clock(job.duration)
    if job.upload.state != "stored":
        yield "upload", f"{job.upload.state}, {job.upload.bytes / 1e6:,.1f} MB"
    if job.progress and not job.ended:
        yield "progress", f"{job.progress.percent:.0f} %"
    if job.position is not None:
        yield "in line", f"number {job.position}"
    if job.seconds_left is not None:
        yield "left", f"about {clock(job.seconds_left)}"
    yield from _asked(job)
    if transcript.language:
        yield "language", transcript.language
    for problem in (job.error, job.notice):
        if problem is not None:
            yield "", problem.message
    for gap in transcript.gaps:
        yield "gap", missing(gap)
    for notice in transcript.notices:
        yield "notice", notice


def _asked(job: Job) -> Iterator[tuple[str, str]]:
    if job.hotword_list is not None:
        yield "hotwords", f"list {job.hotword_list.name}, version {job.hotword_list.version}"
    elif job.options and job.options.hotwords and job.options.hotwords.words:
        words = job.options.hotwords.words
        more = f" and {len(words) - 10} more" if len(words) > 10 else ""
        yield "hotwords", ", ".join(words[:10]) + more
    if job.options and job.options.callback_url:
        yield "told when done", job.options.callback_url


def run_each(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Cancel jobs, or erase them."""
    return _each(connected(given, context), given)


async def _each(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    code = OK
    errors = Console(stderr=True, soft_wrap=True)
    async with whisper:
        for job in given.job:
            try:
                await (whisper.delete(job) if given.erase else whisper.cancel(job))
            except ClientError as error:
                if isinstance(error, Refused) and error.status == 401:
                    raise
                errors.print(Text(f"{job}: {error}", style="bold red"))
                code = FAILED
            else:
                errors.print(Text(f"Job {job} is {'erased' if given.erase else 'cancelled'}"))
    return code
