"""`/v1/models`: the names that clients of OpenAI's API may send; behind each stands the endpoint's model."""

from aiohttp import web

from services.gateway.answers import json_response
from services.gateway.errors import NotFound
from services.gateway.openai.shapes import Model, Models

NAMES = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-transcribe-diarize",
)
OWNER = "whisper-webui"
CREATED = 1_677_532_384
"""OpenAI's whisper-1, Unix time."""


async def list_models(_request: web.Request) -> web.Response:
    """`GET /v1/models`."""
    return json_response(Models(data=[_model(name) for name in NAMES]))


async def get_model(request: web.Request) -> web.Response:
    """`GET /v1/models/{model}`."""
    name = request.match_info["model"]
    if name not in NAMES:
        raise NotFound(
            f"there is no model {name[:80]!r}: use one of {', '.join(NAMES)}",
            code="model_not_found",
            field="model",
        )
    return json_response(_model(name))


def _model(name: str) -> Model:
    return Model(id=name, created=CREATED, owned_by=OWNER)
