"""Reads the command line and the environment into one value."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

FORMATS = {"text": "txt", "srt": "srt", "vtt": "vtt", "json": "json"}
"""Formats of a transcript and the ending of their files."""
METHODS = ("prompt_injection", "logit_bias")
TASKS = ("transcribe", "translate")
PRIORITIES = ("normal", "low")
DEFAULT_URL = "http://localhost:8080"
STDOUT = Path("-")

DESCRIPTION = "Sends a recording to the server, shows its text as it comes, and saves it."
EPILOG = """\
The password is best given in WHISPER_PASSWORD: other users of this machine can see a command line.

exit codes
  0    the text is complete
  1    the server refused, failed, or cannot be reached
  2    the command line or a setting is wrong
  3    the text is saved, and some stretches of the recording have none (they are listed)
  130  interrupted with Ctrl-C; once it is uploaded, a recording is transcribed all the same

example
  python -m client meeting.mp3 --hotwords "Katherine, Lynx"

To have the stretches without text tried again: python -m client retry --help
To see whether the server's endpoint honours hotwords: python -m client check-hotwords --help
"""


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, for whom, and where."""

    audio: Path
    url: str
    username: str
    password: str
    hotwords: tuple[str, ...] | None
    """None leaves the list to the one stored on the server; empty switches hotwords off."""
    hotword_method: str | None
    boost: float | None
    language: str | None
    task: str | None
    format: str
    output: Path
    skip_silence: bool
    priority: str | None
    quiet: bool


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Arguments:
    """The arguments; exits 2 with a sentence where they cannot work."""
    parser = _parser(environ)
    given = parser.parse_args(argv)
    if not given.audio:
        parser.error("which recording? Name a file, or set WHISPER_AUDIO_FILE")
    audio = Path(given.audio)
    if not audio.is_file():
        parser.error(f"there is no file {audio}")
    require_login(parser, given)
    method = given.hotword_method
    if method is not None and method not in METHODS:  # argparse does not check a default
        parser.error(f"WHISPER_HOTWORD_METHOD={method!r} is unknown: use {' or '.join(METHODS)}")
    hotwords = None if given.hotwords is None else words(given.hotwords)
    return Arguments(
        audio=audio,
        url=given.url.rstrip("/"),
        username=given.username,
        password=given.password,
        hotwords=hotwords,
        hotword_method=method or (METHODS[0] if hotwords else None),
        boost=given.boost,
        language=given.language,
        task=given.task,
        format=given.format,
        output=given.output or audio.with_name(f"{audio.stem}_transcript.{FORMATS[given.format]}"),
        skip_silence=given.skip_silence,
        priority=given.priority,
        quiet=given.quiet,
    )


def add_server(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Which server, and who asks."""
    add = parser.add_argument
    add(
        "--url",
        default=environ.get("WHISPER_API_URL") or DEFAULT_URL,
        metavar="URL",
        help=f"the server (WHISPER_API_URL, default {DEFAULT_URL})",
    )
    add("--username", default=environ.get("WHISPER_USERNAME"), metavar="NAME", help="WHISPER_USERNAME")
    add("--password", default=environ.get("WHISPER_PASSWORD"), metavar="WORD", help="WHISPER_PASSWORD")


def add_output(parser: argparse.ArgumentParser, *, default: str) -> None:
    """What is written, and where."""
    add = parser.add_argument
    add("--format", choices=tuple(FORMATS), default="text", help="default: text")
    where = f"where to write, - for standard output; default: {default}"
    add("--output", type=Path, metavar="FILE", help=where)
    add("--quiet", action="store_true", help="show errors and warnings only")


def require_login(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Exit 2 where nobody is named."""
    for name in ("username", "password"):
        if not getattr(given, name):
            parser.error(f"a {name} is needed: set WHISPER_{name.upper()} or give --{name}")


def words(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument

    def variable(name: str) -> str | None:
        return environ.get(name) or None

    add("audio", nargs="?", default=variable("WHISPER_AUDIO_FILE"), help="the recording (WHISPER_AUDIO_FILE)")
    add_server(parser, environ)
    add(
        "--hotwords",
        default=variable("WHISPER_HOTWORDS"),
        metavar="WORDS",
        help="words to be spelled this way, separated by commas (WHISPER_HOTWORDS); without it your list on "
        'the server applies, "" switches it off',
    )
    add(
        "--hotword-method",
        default=variable("WHISPER_HOTWORD_METHOD"),
        choices=METHODS,
        help=f"WHISPER_HOTWORD_METHOD, default {METHODS[0]}",
    )
    add("--boost", type=float, metavar="NATS", help="how strongly logit_bias pulls, 0 to 5")
    add("--language", metavar="CODE", help="language spoken, such as en or zh; default: detected")
    add("--task", choices=TASKS, help="translate writes English")
    add("--no-skip-silence", dest="skip_silence", action="store_false", help="transcribe silence as well")
    add("--priority", choices=PRIORITIES, help="low: bulk work that may wait for everything else")
    add_output(parser, default="NAME_transcript.txt beside the file")
    return parser
