"""`python -m client retry JOB`: have the stretches without text tried again, and get the transcript."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import aiohttp
import msgspec

from client.arguments import STDOUT, add_output, add_server, require_login
from client.display import Display
from client.errors import ClientError, Refused, Unavailable
from client.following import follow, transcript
from client.outcome import FAILED, INTERRUPTED, report
from client.output import write
from client.reading import Reading
from client.retrying import Backoff
from client.session import Session

NAME = "retry"
PATIENCE_SECONDS = 120.0

DESCRIPTION = """\
Has the stretches of a recording that got no text tried again, follows the job to its end, and writes the
transcript. What has its text already is not sent again."""
EPILOG = """\
The number of a job stands in the address of its page behind #, and in what `python -m client` says.

exit codes
  0    the text is complete
  1    the server refused (the recording may be erased by now), failed, or cannot be reached
  2    the command line or a setting is wrong
  3    the text is written, and some stretches still have none (they are listed)
  130  interrupted with Ctrl-C; the job goes on at the server

example
  python -m client retry mfrggzdfmztwq2lknnwg23tpob --output meeting.txt
"""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Which job of which server, and what to do with its transcript."""

    job: str
    url: str
    username: str
    password: str
    format: str
    output: Path
    quiet: bool


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command and return its exit code."""
    wanted = parse(argv, environ)
    with Display(quiet=wanted.quiet) as display:
        try:
            return asyncio.run(_retried(wanted, display))
        except ClientError as error:
            display.warn(str(error))
            return FAILED
        except KeyboardInterrupt:
            display.warn(f"Job {wanted.job} goes on at the server")
            return INTERRUPTED


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Retry:
    """The arguments; exits 2 with a sentence where they cannot work."""
    parser = argparse.ArgumentParser(
        prog=f"python -m client {NAME}",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("job", metavar="JOB", help="the job's number")
    add_server(parser, environ)
    add_output(parser, default="standard output")
    given = parser.parse_args(argv)
    require_login(parser, given)
    return Retry(
        job=quote(given.job, safe=""),
        url=given.url.rstrip("/"),
        username=given.username,
        password=given.password,
        format=given.format,
        output=given.output or STDOUT,
        quiet=given.quiet,
    )


async def _retried(wanted: Retry, display: Display) -> int:
    reading = Reading()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        session = Session(http, wanted.url, wanted.username, wanted.password)
        await session.login()
        await _ask(session, wanted.job, display)
        end = await follow(session, wanted.job, reading, display)
        if end.error:  # of an upload that broke off: what had arrived has its text
            display.warn(end.error.message)
        if end.status == "failed":
            return FAILED
        write(await transcript(session, wanted.job, wanted.format), wanted.output)
    return report(wanted.job, reading, wanted.output, display)


async def _ask(session: Session, job: str, display: Display) -> None:
    """Asking twice does no harm, so a lost answer is no failure."""
    retry = Backoff(PATIENCE_SECONDS)
    while True:
        try:
            async with session.request("POST", f"/v1/jobs/{job}/retry"):
                return
        except Unavailable as error:
            await retry.wait(error)
        except Refused as refused:
            if refused.code != "no_gaps":
                raise
            display.say("Nothing is missing: every stretch has its text.")
            return
