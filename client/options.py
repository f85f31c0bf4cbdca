"""What can be asked for with a recording."""

from typing import Literal

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of an upload; what stays None is left to the server's defaults (docs/api.md)."""

    name: str | None = None
    """Shown in lists; the file's name where none is given."""
    language: str | None = None
    """Spoken in the recording, such as en or zh; None has it detected."""
    languages: tuple[str, ...] | None = None
    """Those that may be detected, in place of `language`."""
    prompt: str | None = None
    """Taken to precede each chunk: it steers spelling and style."""
    task: Literal["transcribe", "translate"] | None = None
    hotwords: tuple[str, ...] | None = None
    """None leaves the words to the list that is stored; empty switches hotwords off."""
    hotword_list: str | None = None
    """Name of a stored list, in place of `hotwords`."""
    hotword_method: Literal["prompt_injection", "logit_bias"] | None = None
    boost_factor: float | None = None
    """Nats per token, 0 to 5, for logit_bias."""
    timestamps: Literal["segment", "word"] | None = None
    temperature: float | None = None
    skip_silence: bool | None = None
    priority: Literal["normal", "low"] | None = None
    channels: Literal["mix", "split"] | None = None
    """`split` transcribes each channel by itself."""
    callback_url: str | None = None
    """Told when the job has ended."""


def fields(options: Options) -> dict[str, str]:
    """The options as form fields, without those that were not chosen."""
    chosen = {field: getattr(options, field) for field in options.__struct_fields__}
    if options.languages is not None:
        chosen["languages"] = ",".join(options.languages)
    return {name: _text(value) for name, value in chosen.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
