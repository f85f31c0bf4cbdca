"""`python -m client check-hotwords`: does the endpoint behind a server honour hotwords?"""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.text import Text

from client.arguments import METHODS, STDOUT, Arguments, add_server, require_login, words
from client.check_display import show
from client.display import Display
from client.errors import ClientError
from client.session import Session
from client.transcribing import Transcribing
from client.verdicts import Heard, Outcome, Verdict, finding

NAME = "check-hotwords"
CLIP = Path(__file__).with_name("check_hotwords.ogg")
"""Says: "Sarah and Eric opened the new window. Hello Chris how are you today." (espeak-ng, en-us)."""
WORDS = ("Sara", "Erik", "Kris")
"""Sound like the names in the clip; no model writes all of them so unless it is told to."""
LANGUAGE = "en"
BOOST = 4.0
"""Far above the usual 1.5: the question is whether the words arrive, not how they do in a long list."""
HONOURED, FAILED, NOT_HONOURED, CANNOT_TELL, INTERRUPTED = 0, 1, 3, 4, 130

DESCRIPTION = """\
Transcribes a clip without hotwords, with prompt_injection and with logit_bias, prints the three texts
and says for each method whether the endpoint behind the server honours hotwords."""
EPILOG = """\
Without --file a clip of five seconds is used: "Sarah and Eric opened the new window. Hello Chris how are
you today." Its words are Sara, Erik and Kris. A method counts as honoured when it brings a word into the
text that is not there without hotwords. Otherwise the server's own report tells whether the words were
applied (no effect) or not (ignored).

With a model that does not hear this clip well, give one of your own, and a word that the model spells
differently by itself.

exit codes
  0    both methods are honoured
  1    the server refused, failed, or cannot be reached
  2    the command line or a setting is wrong
  3    a method is not honoured
  4    it cannot be told: the words are in the text without hotwords already
  130  interrupted

example
  python -m client check-hotwords --file call.mp3 --word Katherine
"""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be checked, where and by whom."""

    clip: Path
    words: tuple[str, ...]
    language: str | None
    boost: float
    url: str
    username: str
    password: str
    json: bool


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command and return its exit code."""
    check = parse(argv, environ)
    errors = Console(stderr=True, soft_wrap=True)
    try:
        outcome = asyncio.run(_checked(check, lambda sentence: errors.print(Text(sentence))))
    except ClientError as error:
        errors.print(Text(str(error), style="bold red"))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    show(outcome, as_json=check.json)
    return _exit_code(outcome)


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Check:
    """The arguments; exits 2 with a sentence where they cannot work."""
    parser = _parser(environ)
    given = parser.parse_args(argv)
    if (given.file is None) != (given.word is None):
        parser.error("--file and --word belong together: a clip, and a word to look for in its text")
    if given.file is not None and not given.file.is_file():
        parser.error(f"there is no file {given.file}")
    wanted = WORDS if given.word is None else words(given.word)
    if not wanted:
        parser.error("--word needs a word")
    require_login(parser, given)
    return Check(
        clip=given.file or CLIP,
        words=wanted,
        language=given.language or (None if given.file else LANGUAGE),
        boost=given.boost,
        url=given.url.rstrip("/"),
        username=given.username,
        password=given.password,
        json=given.json,
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m client {NAME}",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--file", type=Path, metavar="CLIP", help="a recording of your own, best a few seconds long")
    add("--word", metavar="WORD", help="what to look for in its text; several are separated by commas")
    add("--language", metavar="CODE", help="spoken in the file, such as en or zh; default: detected")
    add("--boost", type=float, default=BOOST, metavar="NATS", help=f"of logit_bias, default {BOOST:g}")
    add("--json", action="store_true", help="print JSON instead of a table")
    add_server(parser, environ)
    return parser


async def _checked(check: Check, say: Callable[[str], None]) -> Outcome:
    runs: tuple[str | None, ...] = (None, *METHODS)
    heard: list[Heard] = []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        session = Session(http, check.url, check.username, check.password)
        for number, method in enumerate(runs, 1):
            say(f"{number} of {len(runs)}: {f'with {method}' if method else 'without hotwords'}")
            heard.append(await _heard(session, check, method))
    without, *others = heard
    found = tuple(
        finding(method, check.words, without, other) for method, other in zip(METHODS, others, strict=True)
    )
    honoured = all(one.verdict is Verdict.HONOURED for one in found)
    return Outcome(check.words, without.text, found, honoured)


async def _heard(session: Session, check: Check, method: str | None) -> Heard:
    """The clip's transcript; raises `ClientError` where there is none to judge."""
    with Display(quiet=True) as display:
        run = Transcribing(session, _arguments(check, method), display)
        body = await run.run()
    for gap in run.reading.gaps.values():
        raise ClientError(f"the endpoint gave no text: {gap.error.message}")
    try:
        return msgspec.json.decode(body, type=Heard)
    except msgspec.DecodeError as error:
        raise ClientError(f"the server sent a transcript that cannot be read: {error}") from error


def _arguments(check: Check, method: str | None) -> Arguments:
    return Arguments(
        audio=check.clip,
        url=check.url,
        username=check.username,
        password=check.password,
        hotwords=check.words if method else (),
        hotword_method=method,
        boost=check.boost if method else None,
        language=check.language,
        task=None,
        format="json",
        output=STDOUT,
        skip_silence=True,
        priority=None,
        quiet=True,
    )


def _exit_code(outcome: Outcome) -> int:
    if outcome.honoured:
        return HONOURED
    verdicts = {one.verdict for one in outcome.methods}
    return CANNOT_TELL if verdicts == {Verdict.UNKNOWN} else NOT_HONOURED
