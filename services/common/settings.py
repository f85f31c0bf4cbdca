"""Settings: one frozen struct per service, read once from the environment, with defaults that run."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from services.common.errors import Misconfigured
from services.common.field_texts import field_texts


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs."""

    nats_url: str = "nats://127.0.0.1:4222"
    """Where NATS is; several servers of a cluster are separated by commas."""
    nats_nkey_seed: str = ""
    """NKey seed of this service's NATS user; empty connects without one."""
    nats_ca_file: str = ""
    """PEM file of the authority behind NATS's certificate; with it, or `tls://`, NATS must prove itself."""
    host: str = "0.0.0.0"  # noqa: S104  # a container serves its pod's address
    """Address that HTTP listens on."""
    metrics_port: int = 9090
    """Port of /healthz, /readyz and /metrics."""
    drain_seconds: float = 20.0
    """How long a stopping process may take to finish what it holds."""
    log_level: str = "info"
    """debug, info, warning or error."""
    git_revision: str = ""
    """Commit that the image was built from, for the metric `whisper_build_info`; the image sets it."""
    otel_exporter_otlp_endpoint: str = ""
    """Collector that gets traces by OTLP over HTTP, such as `http://collector:4318`; empty sends none."""


S = TypeVar("S", bound=msgspec.Struct)


def load(settings: type[S], environ: Mapping[str, str]) -> S:
    """Read `settings` from variables named like its fields in capitals.

    Empty variables count as unset. Raises `Misconfigured` naming the variable, its value and the cause.
    """
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(settings):
        raw = environ.get(field.name.upper(), "")
        if raw != "":
            values[field.name] = _parsed(field.name.upper(), raw, field.type)
    try:
        return settings(**values)
    except TypeError as error:
        raise Misconfigured(str(error)) from error


def _parsed(name: str, raw: str, wanted: object) -> object:
    try:
        return msgspec.convert(raw, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{name}={raw!r} is not usable: {error}") from error


def described(settings: type[msgspec.Struct]) -> dict[str, str]:
    """The line of text under each field, by field name, inherited fields included."""
    texts: dict[str, str] = {}
    for owner in reversed(settings.__mro__):
        if issubclass(owner, msgspec.Struct) and owner is not msgspec.Struct:
            texts |= field_texts(owner)
    return texts
