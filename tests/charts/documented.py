"""What is derived from the comments of values.yaml and from the services' settings: descriptions and types in
the schema, and the table in the chart's README. `python -m tests.charts.documented` writes both anew."""

import enum
import json
import re
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

import msgspec
import yaml

from services.auth.settings import Settings as Auth
from services.chunker.settings import Settings as Chunker
from services.common.settings import ServiceSettings, described
from services.gateway.settings import Settings as Gateway
from services.provision.settings import Settings as Provision
from services.transcriber.settings import Settings as Transcriber
from tests.charts.rendering import CHART, Object

SETTINGS: dict[str, type[ServiceSettings]] = {
    "auth": Auth,
    "chunker": Chunker,
    "gateway": Gateway,
    "provision": Provision,
    "transcriber": Transcriber,
}
FIXED = {
    "PORT": "the chart's Service leads to the default",
    "METRICS_PORT": "probes and Prometheus go to the default",
    "SPOOL_DIRECTORY": "the chart mounts a volume of the right size",
    "NATS_NKEY_SEED": "a Secret holds it",
    "NATS_CA_FILE": "a Secret holds it",
}
"""Settings that nobody sets by a value, with the reason."""
ELSEWHERE = {
    "NATS_URL": "nats.external.url",
    "LOG_LEVEL": "logLevel",
    "PUBLIC_URL": "publicUrl",
    "TRUSTED_PROXIES": "ingress.proxies",
    "AUDIO_RETENTION_SECONDS": "retention.audioSeconds",
    "TEXT_RETENTION_SECONDS": "retention.textSeconds",
    "AWS_REGION": "aws.region",
    "SECRET_NAME": "aws.secretName",
    "SIGNING_SECRET_NAME": "aws.signingSecretName",
    "SAGEMAKER_ENDPOINT": "aws.endpoint.name",
    "SAGEMAKER_INFERENCE_COMPONENT": "aws.endpoint.inferenceComponent",
    "STREAM_REPLICAS": "nats.replicas",
}
"""Settings with a value of their own, since others depend on them, too."""
NEVER_ZERO = {"CHUNKER_SLOTS", "HASH_THREADS", "TRANSCRIBER_SLOTS", "USER_JOBS", "WINDOW_CHUNKS"}
"""Settings with which a service does no work, or does not start, where they are 0."""
BEGIN, END = "<!-- values: begin -->\n", "<!-- values: end -->\n"
VALUES, SCHEMA, README = CHART / "values.yaml", CHART / "values.schema.json", CHART / "README.md"
COMMENT = "# -- "


class Value(msgspec.Struct, frozen=True):
    """One documented value."""

    path: tuple[str, ...]
    default: object
    text: str


def documented() -> list[Value]:
    """Every value with a comment, in the order of the file; what is below one belongs to it."""
    defaults = yaml.safe_load(VALUES.read_text())
    return [
        Value(path, _at(defaults, path), text) for path, text in _commented(VALUES.read_text().splitlines())
    ]


def undocumented() -> list[str]:
    """Paths of values that no comment explains."""
    known = {value.path for value in documented()}
    return [
        ".".join(path) for path in _leaves(yaml.safe_load(VALUES.read_text())) if not _covered(path, known)
    ]


def table() -> str:
    """The README's table of values."""
    head = "| value | default | meaning |\n| --- | --- | --- |\n"
    return head + "".join(
        f"| `{'.'.join(value.path)}` | {_shown(value.default)} | {_escaped(value.text)} |\n"
        for value in documented()
    )


def readme() -> str:
    """The chart's README with the table that belongs into it."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def schema() -> str:
    """The schema with the types of settings and the descriptions that belong into it."""
    whole: Object = json.loads(SCHEMA.read_text())
    for service, settings in SETTINGS.items():
        whole["definitions"][f"{service}Env"] = environment(settings)
    for value in documented():
        _property(whole, value.path)["description"] = value.text
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def environment(settings: type[ServiceSettings]) -> Object:
    """The schema of a map of settings by their variables' names."""
    texts = described(settings)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            field.name.upper(): _type(field.type)
            | ({"minimum": 1} if field.name.upper() in NEVER_ZERO else {})
            | {"description": texts[field.name]}
            for field in sorted(msgspec.structs.fields(settings), key=lambda field: field.name)
            if field.name.upper() not in FIXED.keys() | ELSEWHERE.keys()
        },
    }


def _type(kind: Any) -> Object:
    if get_origin(kind) in (Union, types.UnionType):
        [kind] = [one for one in get_args(kind) if one is not type(None)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    named: dict[object, Object] = {
        bool: {"type": "boolean"},
        int: {"type": "integer", "minimum": 0},
        float: {"type": "number", "minimum": 0},
        str: {"type": "string"},
    }
    return named[kind]


def _commented(lines: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each key under a comment, as a path, with the comment."""
    path: list[tuple[int, str]] = []
    text = None
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(COMMENT):
            text = stripped.removeprefix(COMMENT)
        elif found := re.match(r"( *)([\w.-]+):", line):
            indent = len(found[1])
            path = [(depth, key) for depth, key in path if depth < indent] + [(indent, found[2])]
            if text is not None:
                yield tuple(key for _, key in path), text
            text = None


def _leaves(values: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path


def _covered(path: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    return any(path[:length] in known for length in range(1, len(path) + 1))


def _at(values: Any, path: tuple[str, ...]) -> object:
    for key in path:
        values = values[key]
    return values


def _property(whole: Object, path: tuple[str, ...]) -> Object:
    """Where the schema speaks of this value; a reference is followed on the way, and never described."""
    found = whole
    for key in path:
        if "$ref" in found:
            found = whole["definitions"][found["$ref"].rpartition("/")[2]]
        found = found["properties"][key]
    return found


def _shown(default: object) -> str:
    return f"`{json.dumps(default, ensure_ascii=False)}`" if default != "" else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    README.write_text(readme())
