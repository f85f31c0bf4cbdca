"""From the settings to a warm engine; imports torch, so it runs in the inference thread."""

import logging

import numpy as np
import structlog
from huggingface_hub.utils.tqdm import disable_progress_bars
from transformers.utils import logging as transformers_logging

from endpoint.engine import Engine
from endpoint.events import Failed
from endpoint.model import WhisperModel
from endpoint.model_choice import AUTO, ModelChoice, bundled
from endpoint.settings import EndpointSettings
from services.contracts.inference import SAMPLE_RATE, InferenceOptions

log = structlog.get_logger()


def engine(settings: EndpointSettings, choice: ModelChoice) -> Engine:
    """Load the chosen model and transcribe a second of silence, which takes the first request's delays."""
    _quieten()
    try:
        loaded = _loaded(choice, settings)
    except OSError as error:
        if settings.whisper_model != AUTO or choice.bundled:
            raise
        loaded = _loaded(bundled(f"{choice.name} could not be downloaded: {error}"), settings)
    _warm(loaded)
    return loaded


def _warm(engine: Engine) -> None:
    engine.add(0, np.zeros(SAMPLE_RATE, np.float32), InferenceOptions())
    while engine.rows:
        for event in engine.step():
            if isinstance(event, Failed):  # it would fail with everything
                raise event.error


def _loaded(choice: ModelChoice, settings: EndpointSettings) -> Engine:
    log.info("model_loading", model=choice.name, threads=settings.threads, from_disk=choice.local_only)
    model = WhisperModel(
        choice.source,
        device=settings.device,
        threads=settings.threads,
        local_only=choice.local_only,
        precision=settings.precision,
    )
    return Engine(model, choice.name, bundled=choice.bundled)


def _quieten() -> None:
    """Leave the log to facts of ours: no progress bars, no advice on arguments that we chose on purpose."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
    disable_progress_bars()
