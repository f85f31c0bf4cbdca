"""The options of a recording on the command line and in the environment."""

import argparse
from collections.abc import Mapping

from client.command.parsers import METHODS, WrongUsage, words
from client.options import Options

TASKS = ("transcribe", "translate")
PRIORITIES = ("normal", "low")
CHANNELS = ("mix", "split")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked for with a recording."""
    add = parser.add_argument_group("transcription").add_argument
    add(
        "--hotwords",
        metavar="WORDS",
        help="words to be spelled this way, separated by commas (WHISPER_HOTWORDS); without it your list on "
        'the server applies, "" switches it off',
    )
    add("--hotword-list", metavar="NAME", help="a list stored on the server, in place of --hotwords")
    add("--hotword-method", choices=METHODS, help=f"WHISPER_HOTWORD_METHOD, default {METHODS[0]}")
    add("--boost", type=float, metavar="NATS", help="how strongly logit_bias pulls, 0 to 5")
    add("--language", metavar="CODE", help="language spoken, such as en or zh; default: detected")
    add("--languages", metavar="CODES", help="those that may be detected, separated by commas")
    add("--prompt", metavar="TEXT", help="taken to come before: it steers spelling and style")
    add("--task", choices=TASKS, help="translate writes English")
    add("--channels", choices=CHANNELS, help="split: transcribe each channel by itself; default: mix")
    add("--word-times", action="store_true", help="times of words as well, in --format json")
    add("--no-skip-silence", action="store_true", help="transcribe silence as well")
    add("--priority", choices=PRIORITIES, help="low: bulk work that may wait for everything else")
    add("--callback-url", metavar="URL", help="told by the server when a job has ended")


def options(given: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    """What was chosen; the command line wins over the environment."""
    if given.hotwords is not None and given.hotword_list is not None:
        raise WrongUsage("--hotwords and --hotword-list exclude each other")
    text = given.hotwords
    if text is None and given.hotword_list is None:
        text = environ.get("WHISPER_HOTWORDS") or None
    hotwords = None if text is None else words(text)
    return Options(
        language=given.language,
        languages=words(given.languages) if given.languages else None,
        prompt=given.prompt,
        task=given.task,
        hotwords=hotwords,
        hotword_list=given.hotword_list,
        hotword_method=_method(given, environ) or (METHODS[0] if hotwords else None),  # type: ignore[arg-type]  # checked
        boost_factor=given.boost,
        timestamps="word" if given.word_times else None,
        skip_silence=False if given.no_skip_silence else None,
        priority=given.priority,
        channels=given.channels,
        callback_url=given.callback_url,
    )


def _method(given: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    method = given.hotword_method or environ.get("WHISPER_HOTWORD_METHOD") or None
    if method is not None and method not in METHODS:
        raise WrongUsage(f"WHISPER_HOTWORD_METHOD={method!r} is unknown: use {' or '.join(METHODS)}")
    return str(method) if method else None
