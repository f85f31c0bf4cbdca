"""`transcript`, `retry` and `events`: come back to a job, follow it to its end, and get its text."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from client.answers import End, Gap, Job, JobEvent, Text
from client.command.connection import connected
from client.command.display import Display
from client.command.outcome import EXIT_CODES, FAILED, OK, Outcome, gaps_of
from client.command.output import write
from client.command.parsers import STDOUT, Context, Parsers, add_format, add_job, add_json, add_server
from client.command.report import missing, report
from client.command.times import clock
from client.errors import JobEnded, Refused
from client.whisper import AsyncWhisper

RETRY = """\
Has the stretches of a recording that got no text tried again, follows the job to its end, and writes the
transcript. What has its text already is not sent again."""
TRANSCRIPT = "Follows a job to its end, and writes its transcript."
EVENTS = """\
Prints what happened to a job, and what happens, until its end. A lost connection is made again, and goes on
where it broke."""
PATIENCE_SECONDS = 120.0
OUTPUT = "where to write, - for standard output; default: standard output"
EPILOG = f"""\
The number of a job stands in the address of its page behind #, and in what `PROG transcribe` says.

{EXIT_CODES}

example
  PROG NAME mfrggzdfmztwq2lknnwg23tpob --output meeting.txt
"""


def add(parsers: Parsers) -> None:
    """The subcommands."""
    for name, summary, description in (
        ("transcript", "get the text of a job", TRANSCRIPT),
        ("retry", "have stretches without text tried again", RETRY),
    ):
        parser = parsers.add(name, run, summary, description=description, epilog=EPILOG.replace("NAME", name))
        add_job(parser)
        add_format(parser, output=OUTPUT)
        parser.set_defaults(again=name == "retry", now=False)
        if name == "transcript":
            parser.add_argument(
                "--now", action="store_true", help="what there is, without waiting for the end"
            )
        add_server(parser)
    parser = parsers.add("events", run_events, "follow a job as it happens", description=EVENTS)
    add_job(parser)
    parser.add_argument("--after", metavar="ID", help="only what came after this event")
    add_json(parser, "print a line of JSON for each event")
    add_server(parser)


def run(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Follow the job to its end, and write its text."""
    whisper = connected(given, context, patience_seconds=PATIENCE_SECONDS)
    return _finished(given, context, whisper)


async def _finished(given: argparse.Namespace, context: Context, whisper: AsyncWhisper) -> int:
    job, output = given.job, Path(given.output or STDOUT)
    with Display(quiet=given.quiet) as display:
        async with whisper:
            await whisper.login()
            try:
                if given.again:
                    await _ask(whisper, job, display)
                if not given.now:
                    await whisper.wait(job, observer=display)
            except JobEnded as ended:  # of an upload that broke off: what had arrived has its text
                display.warn(str(ended))
                if ended.status == "failed":
                    return FAILED
            except asyncio.CancelledError:
                display.warn(f"Job {job} goes on at the server")
                raise
            text = await whisper.transcript_as(job, given.format)
            gaps = (await whisper.transcript(job)).gaps if given.now else gaps_of(display.reading)
        write(text, output)
        end = display.reading.end
        notice = end.notice.message if end and end.notice else None
        outcome = Outcome(file=job, job=job, output=str(output), gaps=gaps, notice=notice)
        report(outcome, display, context.prog)
    return outcome.code


async def _ask(whisper: AsyncWhisper, job: str, display: Display) -> None:
    try:
        await whisper.retry(job)
    except Refused as refused:
        if refused.code != "no_gaps":
            raise
        display.say("Nothing is missing: every stretch has its text.")


def run_events(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Print a job's events."""
    return _printed(connected(given, context), given)


async def _printed(whisper: AsyncWhisper, given: argparse.Namespace) -> int:
    async with whisper, contextlib.aclosing(whisper.events(given.job, given.after)) as events:
        async for event in events:
            line = _json(event) if given.json else _sentence(event)
            if line is not None:
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
    return OK


def _json(event: JobEvent) -> str:
    kind = type(event).__name__.lower()
    return msgspec.json.encode({"event": kind} | msgspec.to_builtins(event)).decode()


def _sentence(event: JobEvent) -> str | None:
    match event:
        case Job():
            percent = f", {event.progress.percent:.0f} %" if event.progress else ""
            return f"-- {event.status}{percent}"
        case Text():
            channel = "" if event.channel is None else f"Channel {event.channel + 1}: "
            return f"{clock(event.start)}  {channel}{event.text}"
        case Gap():
            return f"-- {missing(event)}"
        case End():
            problem = event.error or event.notice
            return f"-- {event.status}" + (f": {problem.message}" if problem else "")
    return None
