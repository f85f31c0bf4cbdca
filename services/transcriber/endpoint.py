"""The SageMaker endpoint: one call a chunk, no hidden retries."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from prometheus_client import Counter, Histogram

from services.contracts.inference import (
    AUDIO_PART,
    MAX_BODY_BYTES,
    OPTIONS_PART,
    InferenceOptions,
    InferenceResult,
)
from services.transcriber.errors import AudioRejected, ModelFailed
from services.transcriber.refusals import CALL_ERRORS, translated
from services.transcriber.settings import Settings

CALLS = Counter("whisper_endpoint_calls_total", "Calls of the endpoint", ["outcome"])
SECONDS = Histogram(
    "whisper_endpoint_seconds",
    "Time of a successful call",
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
)


class Endpoint:
    """Transcribes chunks by InvokeEndpoint."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    async def transcribe(self, flac: bytes, options: InferenceOptions) -> InferenceResult:
        """Text of at most 30 s of audio, times from its start.

        Raises the errors of `services.transcriber.errors`.
        """
        body, content_type = _multipart(flac, options)
        if len(body) > MAX_BODY_BYTES:
            raise AudioRejected(f"the request has {len(body)} bytes, the endpoint takes {MAX_BODY_BYTES}")
        try:
            with SECONDS.time():
                answer = await self._client.invoke_endpoint(
                    EndpointName=self._name, ContentType=content_type, Accept="application/json", Body=body
                )
                raw = await answer["Body"].read()
        except CALL_ERRORS as error:
            problem = translated(error)
            CALLS.labels(problem.code).inc()
            raise problem from error
        try:
            result = msgspec.json.decode(raw, type=InferenceResult)
        except msgspec.DecodeError as error:
            CALLS.labels("nonsense").inc()
            raise ModelFailed(
                f"the endpoint answered something else than a transcript: {raw[:100]!r}"
            ) from error
        CALLS.labels("ok").inc()
        return result


def _multipart(flac: bytes, options: InferenceOptions) -> tuple[bytes, str]:
    """Body and content type of RFC 7578 form data with an options and an audio part."""
    boundary = uuid.uuid4().hex
    start = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{OPTIONS_PART}"\r\n'
        "Content-Type: application/json\r\n\r\n"
    ).encode()
    middle = (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{AUDIO_PART}"; filename="chunk.flac"\r\n'
        "Content-Type: audio/flac\r\n\r\n"
    ).encode()
    end = f"\r\n--{boundary}--\r\n".encode()
    body = b"".join((start, msgspec.json.encode(options), middle, flac, end))
    return body, f"multipart/form-data; boundary={boundary}"


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Endpoint]:
    """The endpoint of the settings, with a connection for each slot and no retries of botocore's own."""
    config = AioConfig(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=settings.transcriber_slots,
    )
    session = get_session()
    async with session.create_client(
        "sagemaker-runtime", region_name=settings.aws_region, config=config
    ) as client:
        yield Endpoint(client, settings.sagemaker_endpoint)
