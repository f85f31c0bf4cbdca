"""Options of the native contract, and the limits that every contract's options keep."""

from collections.abc import Mapping

import msgspec

from endpoint.errors import BadInput
from endpoint.fields import strict
from services.contracts.hotwords import Hotwords, InvalidHotwords, validated
from services.contracts.inference import MAX_BEAMS, MAX_PROMPT_CHARACTERS, OPTIONS_PART, InferenceOptions

MAX_TEMPERATURE = 1.0


class _Hotwords(Hotwords, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stored lists may hold fields of later versions; a request's misspelled one must not go unnoticed."""


class _Options(InferenceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hotwords: _Hotwords | None = None


def parsed(raw: bytes) -> InferenceOptions:
    """Options from their JSON, checked as far as no model is needed. Raises `BadInput`."""
    options = strict(raw, _Options, OPTIONS_PART)
    return checked(InferenceOptions(**msgspec.structs.asdict(options)))


def checked(options: InferenceOptions, called: Mapping[str, str] = {}) -> InferenceOptions:
    """The same options, their hotwords cleaned. Raises `BadInput`.

    `called` gives the names of fields in the request's contract where they are not ours.
    """
    _within(called.get("temperature", "temperature"), options.temperature, 0, MAX_TEMPERATURE)
    _within(called.get("beams", "beams"), options.beams, 1, MAX_BEAMS)
    _check_prompt(called.get("prompt", "prompt"), options.prompt)
    if options.hotwords is None:
        return options
    return msgspec.structs.replace(options, hotwords=_cleaned(options.hotwords, called))


def _within(field: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # also refuses nan
        raise BadInput(f"{field} {value} is outside {least:g} to {most:g}", field)


def _check_prompt(field: str, prompt: str) -> None:
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise BadInput(
            f"{field} has {len(prompt)} characters: send at most {MAX_PROMPT_CHARACTERS}; "
            "the model takes some 220 tokens",
            field,
        )
    if "<|" in prompt or "|>" in prompt:
        raise BadInput(f"{field} must not hold <| or |>, the model's own marks", field)


def _cleaned(hotwords: Hotwords, called: Mapping[str, str]) -> Hotwords:
    try:
        return validated(method=hotwords.method, words=hotwords.words, boost_factor=hotwords.boost_factor)
    except InvalidHotwords as error:
        field = f"hotwords.{error.field}"
        raise BadInput(str(error), called.get(field, field)) from error
