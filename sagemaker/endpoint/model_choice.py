"""Which model to load: a directory, one of the Hugging Face hub, or the bundled one where no hub answers."""

import threading
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import structlog
from huggingface_hub import constants, try_to_load_from_cache

log = structlog.get_logger()

AUTO = "auto"
HUB_MODEL = "openai/whisper-base"
HUB_SECONDS = 10.0
"""A hub whose first byte takes longer would not deliver 290 MB in a bearable time either."""
BUNDLED = Path(__file__).parents[2] / ".setup/models/whisper-duo"
"""Set-up expands it from sagemaker/models/whisper-duo."""


class ModelChoice(msgspec.Struct, frozen=True):
    """What to hand to `from_pretrained`, and the name to show."""

    source: str
    name: str
    bundled: bool = False
    local_only: bool = True
    """Never ask the hub: the files are here."""


def chosen(wanted: str, *, hub: str = constants.ENDPOINT, seconds: float = HUB_SECONDS) -> ModelChoice:
    """Resolve the setting. With `auto` the `hub` gets `seconds` to answer."""
    if wanted == AUTO:
        return _automatic(hub, seconds)
    if Path(wanted).is_dir():
        path = Path(wanted).resolve()
        return ModelChoice(str(path), path.name, bundled=path == BUNDLED.resolve())
    if wanted.startswith(("/", ".", "~")):
        raise FileNotFoundError(
            f"WHISPER_MODEL={wanted} is no directory: name one that holds a model, or a model of the hub"
        )
    return _of_hub(wanted)


def bundled(reason: str) -> ModelChoice:
    """The test model, with a warning nobody can overlook: it knows a few hundred words."""
    log.warning(
        "bundled_test_model_in_use",
        model=BUNDLED.name,
        reason=reason,
        effect="it understands the sentences of its VOCABULARY.md and no real recordings",
        remedy="set WHISPER_MODEL to a model directory or hub id, or let this machine reach the hub",
    )
    if not BUNDLED.is_dir():
        raise FileNotFoundError(f"{BUNDLED} is missing: `make setup` makes it; or set WHISPER_MODEL")
    return ModelChoice(str(BUNDLED), BUNDLED.name, bundled=True)


def _automatic(hub: str, seconds: float) -> ModelChoice:
    choice = _of_hub(HUB_MODEL)
    if choice.local_only or answers(f"{hub}/{HUB_MODEL}/resolve/main/config.json", seconds):
        return choice
    return bundled(f"{hub} cannot be reached, or gave no first byte within {seconds:g} s")


def _of_hub(repository: str) -> ModelChoice:
    """Files of an earlier download are used as they are, so that a restart needs no hub."""
    weights = try_to_load_from_cache(repository, "model.safetensors")
    return ModelChoice(repository, repository, local_only=isinstance(weights, str))


def answers(url: str, seconds: float) -> bool:
    """Whether the first byte of `url` arrives in time, name look-up (which no time-out bounds) included."""
    arrived = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds) as response:  # noqa: S310  # our own https URL
                response.read(1)
                arrived.set()
        except OSError as error:
            log.info("hub_unreachable", url=url, error=str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return arrived.is_set()
