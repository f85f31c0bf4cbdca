"""`python -m client recording.mp3`: from a recording to its text beside it; or `retry`, `check-hotwords`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

import aiohttp

from client import check_hotwords, retry
from client.arguments import Arguments, parse
from client.display import Display
from client.errors import ClientError
from client.outcome import FAILED, INTERRUPTED, report
from client.output import write
from client.session import Session
from client.transcribing import Transcribing

COMMANDS = {check_hotwords.NAME: check_hotwords.main, retry.NAME: retry.main}
"""By their name as the first argument; anything else is a recording."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command and return its exit code."""
    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:], environ)
    arguments = parse(argv, environ)
    with Display(quiet=arguments.quiet) as display:
        try:
            return asyncio.run(_transcribe(arguments, display))
        except ClientError as error:
            display.warn(str(error))
            return FAILED
        except KeyboardInterrupt:
            return INTERRUPTED


async def _transcribe(arguments: Arguments, display: Display) -> int:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        session = Session(http, arguments.url, arguments.username, arguments.password)
        run = Transcribing(session, arguments, display)
        try:
            write(await run.run(), arguments.output)
        except asyncio.CancelledError:
            _say_what_goes_on(run, arguments, display)
            raise
        return report(str(run.job_id), run.reading, arguments.output, display)


def _say_what_goes_on(run: Transcribing, arguments: Arguments, display: Display) -> None:
    if run.stored:
        display.warn(f"Job {run.job_id} goes on at the server; its text will be at {arguments.url}")
    elif run.job_id:
        display.warn(f"The upload is not whole; job {run.job_id} keeps the text of what arrived")
    else:
        display.warn("Nothing was uploaded")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
