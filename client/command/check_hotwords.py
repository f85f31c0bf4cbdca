"""`python -m client check-hotwords`: does the endpoint behind a server honour hotwords?"""

import argparse
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from client.command.check_display import show
from client.command.connection import connected
from client.command.parsers import (
    METHODS,
    Context,
    Parsers,
    WrongUsage,
    add_json,
    add_server,
    complete_paths,
    words,
)
from client.command.verdicts import Finding, Outcome, Verdict, finding
from client.errors import ClientError
from client.options import Options
from client.transcripts import Transcript
from client.whisper import AsyncWhisper

NAME = "check-hotwords"
CLIP = Path(__file__).with_name("check_hotwords.ogg")
"""Says: "Sarah and Eric opened the new window. Hello Chris how are you today." (espeak-ng, en-us)."""
WORDS = ("Sara", "Erik", "Kris")
"""Sound like the names in the clip; no model writes all of them so unless it is told to."""
LANGUAGE = "en"
BOOST = 4.0
"""Far above the usual 1.5: the question is whether the words arrive, not how they do in a long list."""
HONOURED, NOT_HONOURED, CANNOT_TELL = 0, 3, 4

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
  PROG check-hotwords --file call.mp3 --word Katherine
"""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be checked."""

    clip: Path
    words: tuple[str, ...]
    language: str | None
    boost: float
    json: bool


def add(parsers: Parsers) -> None:
    """The subcommand."""
    summary = "see whether the server's endpoint honours hotwords"
    parser = parsers.add(NAME, run, summary, description=DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument
    clip = add("--file", type=Path, metavar="CLIP", help="a recording of your own, best a few seconds long")
    complete_paths(clip)
    add("--word", metavar="WORD", help="what to look for in its text; several are separated by commas")
    add("--language", metavar="CODE", help="spoken in the file, such as en or zh; default: detected")
    add("--boost", type=float, default=BOOST, metavar="NATS", help=f"of logit_bias, default {BOOST:g}")
    add_json(parser, "print JSON instead of a table")
    add_server(parser)


def run(given: argparse.Namespace, context: Context) -> Coroutine[Any, Any, int]:
    """Check, and show what was seen."""
    return _shown(_check(given), connected(given, context))


def _check(given: argparse.Namespace) -> Check:
    if (given.file is None) != (given.word is None):
        raise WrongUsage("--file and --word belong together: a clip, and a word to look for in its text")
    if given.file is not None and not given.file.is_file():
        raise WrongUsage(f"there is no file {given.file}")
    wanted = WORDS if given.word is None else words(given.word)
    if not wanted:
        raise WrongUsage("--word needs a word")
    return Check(
        clip=given.file or CLIP,
        words=wanted,
        language=given.language or (None if given.file else LANGUAGE),
        boost=given.boost,
        json=given.json,
    )


async def _shown(check: Check, whisper: AsyncWhisper) -> int:
    async with whisper:
        outcome = await _checked(check, whisper)
    show(outcome, as_json=check.json)
    return _exit_code(outcome)


async def _checked(check: Check, whisper: AsyncWhisper) -> Outcome:
    errors = Console(stderr=True, soft_wrap=True)
    heard: dict[str | None, Transcript] = {}
    for number, method in enumerate((None, *METHODS), 1):
        how = f"with {method}" if method else "without hotwords"
        errors.print(Text(f"{number} of {len(METHODS) + 1}: {how}"))
        if number == 1:
            await whisper.login()
        heard[method] = await _heard(whisper, check, method)
    found = tuple(_finding(check, heard, method) for method in METHODS)
    honoured = all(one.verdict is Verdict.HONOURED for one in found)
    return Outcome(check.words, heard[None].text, found, honoured)


def _finding(check: Check, heard: dict[str | None, Transcript], method: str) -> Finding:
    return finding(method, check.words, heard[None], heard[method])


async def _heard(whisper: AsyncWhisper, check: Check, method: str | None) -> Transcript:
    """The clip's transcript; raises `ClientError` where there is none to judge."""
    options = Options(
        hotwords=check.words if method else (),
        hotword_method=method,  # type: ignore[arg-type]  # one of METHODS
        boost_factor=check.boost if method else None,
        language=check.language,
    )
    transcript = await whisper.transcribe(check.clip, options)
    for gap in transcript.gaps:
        raise ClientError(f"the endpoint gave no text: {gap.error.message}")
    return transcript


def _exit_code(outcome: Outcome) -> int:
    if outcome.honoured:
        return HONOURED
    verdicts = {one.verdict for one in outcome.methods}
    return CANNOT_TELL if verdicts == {Verdict.UNKNOWN} else NOT_HONOURED
