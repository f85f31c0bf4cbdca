"""`python -m client recording.mp3`: from a recording to its text beside it; or `check-hotwords`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

import aiohttp

from client import check_hotwords
from client.arguments import STDOUT, Arguments, parse
from client.display import Display, clock
from client.errors import ClientError
from client.output import write
from client.session import Session
from client.transcribing import Transcribing

OK, FAILED, GAPS, INTERRUPTED = 0, 1, 3, 130


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command and return its exit code."""
    if list(argv[:1]) == [check_hotwords.NAME]:
        return check_hotwords.main(argv[1:], environ)
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
        return _report(run, arguments, display)


def _report(run: Transcribing, arguments: Arguments, display: Display) -> int:
    end, gaps = run.reading.end, run.reading.gaps
    if end and end.notice:
        display.warn(end.notice.message)
    for _, gap in sorted(gaps.items()):
        display.warn(f"no text from {clock(gap.start)} to {clock(gap.end)}: {gap.error.message}")
    if arguments.output != STDOUT:
        display.say(f"Transcript: {arguments.output}")
    return GAPS if gaps else OK


def _say_what_goes_on(run: Transcribing, arguments: Arguments, display: Display) -> None:
    if run.stored:
        display.warn(f"Job {run.job_id} goes on at the server; its text will be at {arguments.url}")
    elif run.job_id:
        display.warn(f"The upload is not whole; job {run.job_id} keeps the text of what arrived")
    else:
        display.warn("Nothing was uploaded")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
