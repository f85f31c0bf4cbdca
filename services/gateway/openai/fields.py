"""OpenAI's form: its fields as our options, and how the text is wanted.

https://platform.openai.com/docs/api-reference/audio/createTranscription, as of openai-python 3.57. What we do
not know is ignored, as clients send one another's extensions.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from services.contracts.hotwords import MAX_WORDS, InvalidHotwords, validated
from services.contracts.inference import Task, Timestamps
from services.contracts.languages import code_of
from services.gateway.errors import BadHotwords, InvalidOption, InvalidRequest
from services.gateway.fields import MAX_FIELDS
from services.gateway.forms import FIELDS, hotword_list

LISTS = ("keywords", "languages", "timestamp_granularities", "include")
"""Sent as `name[]`, once for each value; some clients leave the brackets out."""
PASSED = frozenset(FIELDS) - {"language", "languages", "hotwords", "task", "timestamps"}
"""Our own options, which may stand in an OpenAI form under their own names."""
FORBIDDEN = re.compile(r"[<>\r\n]")
"""OpenAI refuses a keyword with any of these."""


class Format(StrEnum):
    """How the text is wanted."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"
    DIARIZED_JSON = "diarized_json"

    @property
    def is_json(self) -> bool:
        """Whether the answer may begin with white space."""
        return self not in (Format.TEXT, Format.SRT, Format.VTT)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer is to hold."""

    format: Format = Format.JSON
    stream: bool = False
    units: frozenset[Timestamps] = frozenset({Timestamps.SEGMENT})
    """What is to have its times in `verbose_json`."""


class OpenAIFields:
    """Takes OpenAI's fields in any order."""

    most = 2 * MAX_WORDS + MAX_FIELDS
    """Each keyword is a field of its own; beyond the words allowed, the sentence about them is the better."""
    either_side = True

    def __init__(self, task: Task) -> None:
        self.count = 0
        self._task = task
        self._values: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {name: [] for name in LISTS}

    def put(self, name: str, value: str) -> None:
        """One more field."""
        self.count += 1
        bare = name.removesuffix("[]")
        if bare in self._lists:
            self._lists[bare].append(value)
        elif name in self._values:
            raise InvalidRequest(f"the field {name[:80]!r} is given twice", field=name[:80])
        elif name in KNOWN:
            self._values[name] = value

    def check_whole(self) -> None:
        """Every form names a model, though the endpoint's is the one there is."""
        if not self._values.get("model"):
            raise InvalidRequest("the form has no `model` field: send one, such as whisper-1", field="model")
        self.wanted()

    def options(self) -> Mapping[str, str]:
        """Our own options, by name."""
        self.wanted()
        return {
            **{name: value for name, value in self._values.items() if name in PASSED},
            **self._languages(),
            **self._hotwords(),
            "task": self._task,
            "timestamps": Timestamps.WORD if Timestamps.WORD in self._units() else Timestamps.SEGMENT,
        }

    def wanted(self) -> Wanted:
        """How the text is wanted; raises `InvalidOption`."""
        given = self._values.get("response_format") or Format.JSON
        try:
            wanted = Format(given)
        except ValueError:
            raise InvalidOption(
                f"unknown response_format {given[:80]!r}: use {', '.join(Format)}", field="response_format"
            ) from None
        return Wanted(format=wanted, stream=self._switch("stream"), units=self._checked_units(wanted))

    def _checked_units(self, wanted: Format) -> frozenset[Timestamps]:
        units = self._units()
        if Timestamps.WORD in units and wanted is not Format.VERBOSE_JSON and not self._switch("stream"):
            raise InvalidOption(
                "times of words are told with response_format verbose_json only",
                field="timestamp_granularities",
            )
        return units

    def _units(self) -> frozenset[Timestamps]:
        given = [text for text in self._lists["timestamp_granularities"] if text]
        if unknown := [text for text in given if text not in set(Timestamps)]:
            raise InvalidOption(
                f"unknown granularity {unknown[0][:80]!r}: use {' or '.join(Timestamps)}",
                field="timestamp_granularities",
            )
        return frozenset(map(Timestamps, given)) or frozenset({Timestamps.SEGMENT})

    def _languages(self) -> dict[str, str]:
        one = self._values.get("language", "")
        several = [text for text in self._lists["languages"] if text]
        if one and several:
            raise InvalidOption("send language or languages, not both", field="languages")
        if several:
            return {"languages": ",".join(code_of(text) or text for text in several)}
        return {"language": code_of(one) or one}

    def _hotwords(self) -> dict[str, str]:
        """Keywords as they are, and the text that faster-whisper's servers take."""
        keywords, text = self._lists["keywords"], self._values.get("hotwords", "")
        if wrong := next((word for word in keywords if FORBIDDEN.search(word)), None):
            raise BadHotwords(
                f"keyword {wrong[:80]!r} holds <, > or a line break: leave these out; each word is a "
                "keyword of its own",
                field="keywords",
            )
        words = [*keywords, *hotword_list(text)] if text.strip() else keywords
        if not words:
            return {}
        try:
            validated(words=words)
        except InvalidHotwords as error:
            raise BadHotwords(str(error), field="keywords" if keywords else "hotwords") from None
        return {"hotwords": msgspec.json.encode(words).decode()}

    def _switch(self, name: str) -> bool:
        text = self._values.get(name, "").lower()
        if text not in ("", "true", "false"):
            raise InvalidOption(f"{name} is {text[:80]!r}: use true or false", field=name)
        return text == "true"


KNOWN = PASSED | {"model", "language", "hotwords", "response_format", "stream"}
