"""`python -m endpoint serve`: what SageMaker starts in the container."""

import asyncio
import gc
import os
import sys

import structlog

from endpoint.inference_loop import Engine
from endpoint.server import serve
from endpoint.settings import EndpointSettings
from services.common import tracing
from services.common.errors import Misconfigured
from services.common.logs import configure
from services.common.settings import load

WAIT_POLICY = "PASSIVE"
"""The model's threads sleep while they wait for each other. They spin unless told so, which makes them ten
times slower than one thread alone as soon as another process wants a core."""


def main() -> None:
    """Serve until told to stop; exits 2 when a setting is at fault, 1 when the model is."""
    if sys.argv[1:] not in ([], ["serve"]):
        sys.exit("usage: python -m endpoint serve")
    try:
        settings = load(EndpointSettings, os.environ)
    except Misconfigured as error:
        configure("endpoint", "info")
        structlog.get_logger().error("misconfigured", error=str(error))
        sys.exit(2)
    configure("endpoint", settings.log_level)
    try:
        tracing.configure("endpoint", settings.otel_exporter_otlp_endpoint)
    except Misconfigured as error:
        structlog.get_logger().error("misconfigured", error=str(error))
        sys.exit(2)
    try:
        sys.exit(asyncio.run(serve(settings, _loaded)))
    except FileNotFoundError as error:
        if error.errno is not None:
            raise  # the system's: where it came from is needed. That of `model_choice` says it all
        structlog.get_logger().error("model_missing", error=str(error))
        sys.exit(1)


def _loaded(settings: EndpointSettings) -> Engine:
    """Importing torch takes seconds: /ping answers meanwhile. A model that is not there is told before."""
    from endpoint.model_choice import chosen

    choice = chosen(settings.whisper_model)
    os.environ.setdefault("OMP_WAIT_POLICY", WAIT_POLICY)  # torch's libgomp reads it when it is loaded
    gc.disable()  # a fifth of the time that it takes to import torch and transformers
    from endpoint import loading

    gc.enable()
    engine = loading.engine(settings, choice)
    gc.freeze()  # with torch's half a million objects, a collection stopped every thread for 180 ms
    return engine


if __name__ == "__main__":
    main()
