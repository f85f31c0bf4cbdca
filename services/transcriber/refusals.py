"""Tell what an exception of aiobotocore means: cold, busy, away, misconfigured, failed or rejected.

Codes and shapes: the service model of SageMaker Runtime in botocore, and measurements against it.
"""

import random
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import botocore.exceptions as botocore_errors

from services.common.errors import ServiceError
from services.transcriber.errors import (
    MODEL_TIMEOUT,
    AudioRejected,
    EndpointAway,
    EndpointBusy,
    EndpointCold,
    EndpointMisconfigured,
    ModelFailed,
)

COLD_RETRY_SECONDS = 5.0
BUSY_RETRY_SECONDS = 2.0
MODEL_RETRY_SECONDS = 2.0
OPERATOR_RETRY_SECONDS = 15.0

THROTTLED = {
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
}
NO_RIGHTS = {
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "ExpiredTokenException",
    "ExpiredToken",
    "InvalidClientTokenId",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
}
OTHER_CONTRACT = (404, 405, 415, 422)
"""What a container answers to a request of another shape: FastAPI's are 404, 405 and 422."""
SHOWN_CHARACTERS = 300


def translated(error: Exception) -> ServiceError:
    """Our error for one of botocore's or aiohttp's; the message keeps what the far side said."""
    if isinstance(error, botocore_errors.ClientError):
        return _refused(error.response)
    if isinstance(error, botocore_errors.ReadTimeoutError | TimeoutError):
        return ModelFailed("the endpoint did not answer in time", code=MODEL_TIMEOUT, retry_after=5.0)
    if isinstance(error, botocore_errors.ConnectionClosedError):
        return EndpointAway("the endpoint closed the connection", retry_after=0.1)  # an idle one, mostly
    if isinstance(
        error,
        botocore_errors.NoCredentialsError
        | botocore_errors.PartialCredentialsError
        | botocore_errors.CredentialRetrievalError
        | botocore_errors.TokenRetrievalError,
    ):
        return EndpointMisconfigured(f"no AWS credentials: {error}", retry_after=OPERATOR_RETRY_SECONDS)
    if isinstance(error, aiohttp.ClientPayloadError):
        return EndpointAway("the endpoint broke off in the middle of its answer")
    return EndpointAway(f"the endpoint cannot be reached: {error}")


CALL_ERRORS = (botocore_errors.BotoCoreError, botocore_errors.ClientError, aiohttp.ClientError, OSError)
"""Everything a call may raise; TimeoutError is an OSError."""


def _refused(response: Mapping[str, Any]) -> ServiceError:
    problem = response.get("Error", {})
    code = str(problem.get("Code", ""))
    message = str(problem.get("Message") or code)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = message.lower()
    if code == "ModelNotReadyException" or "no capacity" in said or "not inservice" in said:
        return EndpointCold(f"the endpoint is starting: {_short(message)}", retry_after=COLD_RETRY_SECONDS)
    if code == "ModelError":
        return _model_error(int(response.get("OriginalStatusCode") or 0), response, message)
    if code in THROTTLED or status == 429:
        return EndpointBusy("the endpoint throttles requests", retry_after=_spread(BUSY_RETRY_SECONDS))
    if code in NO_RIGHTS or status in (401, 403) or "not found" in said:
        return EndpointMisconfigured(
            f"the endpoint cannot be used ({code}): {_short(message)}", retry_after=OPERATOR_RETRY_SECONDS
        )
    if status >= 500:
        return EndpointAway(f"the endpoint failed with {status} {code}")
    return AudioRejected(f"SageMaker refused the request with {status} {code}: {_short(message)}")


def _model_error(original: int, response: Mapping[str, Any], message: str) -> ServiceError:
    said = _short(str(response.get("OriginalMessage") or message))
    if original in (429, 503):
        return EndpointBusy("the container is busy", retry_after=_spread(BUSY_RETRY_SECONDS))
    if original == 0 or original >= 500:
        return ModelFailed(f"the model failed ({original}): {said}", retry_after=MODEL_RETRY_SECONDS)
    if original in OTHER_CONTRACT:
        return EndpointMisconfigured(
            f"the container does not take such requests ({original}), is ENDPOINT_CONTRACT right? {said}",
            retry_after=OPERATOR_RETRY_SECONDS,
        )
    if original == 400 and _huggingface(said):
        return ModelFailed(
            f"the model or its input failed ({original}): {said}", retry_after=MODEL_RETRY_SECONDS
        )
    return AudioRejected(f"the container refused the chunk ({original}): {said}")


def _huggingface(said: str) -> bool:
    """Both of Hugging Face's toolkits answer 400 to everything, a GPU out of memory too.

    The old one with the name of its exception, the new one with {"error": "a sentence"}.
    """
    return "PredictionException" in said or re.match(r'\{\s*"error"\s*:\s*"', said) is not None


def _spread(seconds: float) -> float:
    return seconds * random.uniform(0.25, 1.0)  # noqa: S311  # so that those turned away do not come back as one


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
