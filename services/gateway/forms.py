"""What the fields of an upload's form mean: a name and options, or a sentence about the field at fault."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

import msgspec

from services.contracts.channels import Channels
from services.contracts.hotwords import MAX_BOOST, Hotwords, InvalidHotwords, validated
from services.contracts.inference import MAX_PROMPT_CHARACTERS, Task, Timestamps
from services.contracts.languages import NAMES
from services.contracts.messages import JobOptions, Priority
from services.gateway.destinations import PUBLIC, Destinations
from services.gateway.errors import BadHotwords, InvalidOption

FIELDS = (
    "name",
    "language",
    "languages",
    "prompt",
    "task",
    "hotwords",
    "hotword_list",
    "hotword_method",
    "boost_factor",
    "timestamps",
    "temperature",
    "skip_silence",
    "priority",
    "callback_url",
    "channels",
)
MAX_NAME_CHARACTERS = 200
UNNAMED = "recording"

E = TypeVar("E", bound=StrEnum)


def check_known(field: str) -> None:
    """Refuse a field that we do not know: a misspelled option must not go unnoticed."""
    if field not in FIELDS:
        raise InvalidOption(f"unknown option {field[:80]!r}; known are {', '.join(FIELDS)}", field=field[:80])


def job_name(fields: Mapping[str, str], filename: str | None) -> str:
    """The name to show: the one given, else the file's own without its folders."""
    given = fields.get("name", "").strip() or re.split(r"[/\\]", filename or "")[-1]
    printable = "".join(character for character in given if character.isprintable()).strip()
    return printable[:MAX_NAME_CHARACTERS] or UNNAMED


def brings_words(fields: Mapping[str, str]) -> bool:
    """Whether the upload has hotwords of its own, and needs no stored list."""
    return bool(fields.get("hotwords", "").strip())


def named_list(fields: Mapping[str, str]) -> str | None:
    """The stored list that the upload asks for, where it names one."""
    name = fields.get("hotword_list", "").strip()
    if name and brings_words(fields):
        raise InvalidOption(
            f"hotwords and hotword_list={name[:80]} exclude each other: send words, or the name of a list",
            field="hotword_list",
        )
    return name or None


def job_options(fields: Mapping[str, str], stored: Hotwords, receivers: Destinations = PUBLIC) -> JobOptions:
    """The options of a job; `stored` are the hotwords of its list, for uploads that bring none.

    `receivers` knows where webhooks may go.
    """
    hotwords = _hotwords(fields, stored)
    languages = _languages(fields)
    return JobOptions(
        language=languages[0] if len(languages) == 1 else None,
        languages=languages if len(languages) > 1 else (),
        prompt=_prompt(fields.get("prompt", "")),
        task=_choice(fields, "task", Task, Task.TRANSCRIBE),
        hotwords=hotwords if hotwords.words else None,
        timestamps=_choice(fields, "timestamps", Timestamps, Timestamps.SEGMENT),
        temperature=_number(fields, "temperature", 0.0, 1.0),
        skip_silence=_switch(fields, "skip_silence", default=True),
        priority=_choice(fields, "priority", Priority, Priority.NORMAL),
        callback_url=receivers.checked(url) if (url := fields.get("callback_url", "").strip()) else None,
        channels=_choice(fields, "channels", Channels, Channels.MIX),
    )


def hotword_list(text: str) -> Iterable[object]:
    """Words from a JSON list, or from text separated by commas or new lines."""
    if not text.lstrip().startswith("["):
        return [word for word in re.split(r"[,，、\n\r]", text) if word.strip()]
    try:
        return msgspec.json.decode(text, type=list[object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadHotwords(f"hotwords is not a JSON list: {error}", field="hotwords") from None


def _hotwords(fields: Mapping[str, str], stored: Hotwords) -> Hotwords:
    text = fields.get("hotwords", "")
    try:
        return validated(
            method=fields.get("hotword_method", "") or stored.method,
            words=hotword_list(text) if brings_words(fields) else stored.words,
            boost_factor=_number(fields, "boost_factor", stored.boost_factor, MAX_BOOST),
        )
    except InvalidHotwords as error:
        field = {"words": "hotwords", "method": "hotword_method"}.get(error.field, error.field)
        raise BadHotwords(str(error), field=field) from None


def _languages(fields: Mapping[str, str]) -> tuple[str, ...]:
    """The languages that the recording may be in, each once; none where any is possible."""
    if fields.get("language") and fields.get("languages"):
        raise InvalidOption("send language or languages, not both", field="languages")
    one = _language(fields.get("language", ""), "language")
    if one is not None:
        return (one,)
    several = (_language(text, "languages") for text in fields.get("languages", "").split(","))
    return tuple(dict.fromkeys(code for code in several if code is not None))


def _language(text: str, field: str) -> str | None:
    code = text.strip().lower()
    if code in ("", "auto"):
        return None
    if code not in NAMES:
        raise InvalidOption(
            f"unknown language {text[:80]!r}: use a code such as en or zh, or auto", field=field
        )
    return code


def _prompt(text: str) -> str:
    """The end of a long one is what the model would get anyway."""
    if "<|" in text or "|>" in text:
        raise InvalidOption("prompt must not hold <| or |>, the model's own marks", field="prompt")
    return text.strip()[-MAX_PROMPT_CHARACTERS:]


def _choice(fields: Mapping[str, str], field: str, choices: type[E], default: E) -> E:
    text = fields.get(field, "")
    try:
        return choices(text) if text else default
    except ValueError:
        raise InvalidOption(f"unknown {field} {text!r}: use {' or '.join(choices)}", field=field) from None


def _number(fields: Mapping[str, str], field: str, default: float, largest: float) -> float:
    text = fields.get(field, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not 0 <= number <= largest:  # also refuses nan
        raise InvalidOption(f"{field} is {text!r}: use a number from 0 to {largest:g}", field=field)
    return number


def _switch(fields: Mapping[str, str], field: str, *, default: bool) -> bool:
    text = fields.get(field, "").lower()
    if text not in ("", "true", "false"):
        raise InvalidOption(f"{field} is {text!r}: use true or false", field=field)
    return {"true": True, "false": False}.get(text, default)
