"""What each answer of SageMaker Runtime means for a chunk: wait, try again, or give up."""

import aiohttp
import botocore.exceptions as botocore_errors
import pytest

from services.common.errors import Permanent, ServiceError, Transient
from services.transcriber.errors import (
    AudioRejected,
    EndpointAway,
    EndpointBusy,
    EndpointCold,
    EndpointMisconfigured,
    ModelFailed,
)
from services.transcriber.refusals import CALL_ERRORS, translated


def refused(code: str, status: int, message: str = "", original: int | None = None) -> Exception:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "OriginalStatusCode": original,
        "OriginalMessage": message,
    }
    error: Exception = botocore_errors.ClientError(response, "InvokeEndpoint")
    return error


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (refused("ModelNotReadyException", 429), EndpointCold),
        (refused("ValidationError", 400, "Inference Component has no capacity to process"), EndpointCold),
        (refused("ValidationError", 400, "Endpoint x is not InService"), EndpointCold),
        (refused("ValidationError", 400, "Endpoint x of account 1 not found."), EndpointMisconfigured),
        (refused("ValidationError", 413, "Request body too large"), AudioRejected),
        (refused("ThrottlingException", 400), EndpointBusy),
        (refused("TooManyRequestsException", 429), EndpointBusy),
        (refused("AccessDeniedException", 403), EndpointMisconfigured),
        (refused("ExpiredTokenException", 403), EndpointMisconfigured),
        (refused("InternalFailure", 500), EndpointAway),
        (refused("ServiceUnavailable", 503), EndpointAway),
        (refused("InternalDependencyException", 530), EndpointAway),
        (refused("502", 502), EndpointAway),
        (refused("ModelError", 424, "busy", original=429), EndpointBusy),
        (refused("ModelError", 424, "busy", original=503), EndpointBusy),
        (refused("ModelError", 424, "out of memory", original=500), ModelFailed),
        (refused("ModelError", 424, "timed out"), ModelFailed),
        (refused("ModelError", 424, "not FLAC", original=400), AudioRejected),
        (refused("ModelError", 424, '{"error": {"code": "bad_input"}}', original=400), AudioRejected),
        (refused("ModelError", 424, '{"type": "PredictionException"}', original=400), ModelFailed),
        (refused("ModelError", 424, '{"error": "CUDA out of memory"}', original=400), ModelFailed),
        (refused("ModelError", 424, '{"detail":"server busy"}', original=503), EndpointBusy),
        (refused("ModelError", 424, "over 25 MB", original=413), AudioRejected),
        (refused("ModelError", 424, '{"detail":"Not Found"}', original=404), EndpointMisconfigured),
        (refused("ModelError", 424, "audio/flac is not read here", original=415), EndpointMisconfigured),
        (refused("ModelError", 424, '{"detail":[{"loc":["file"]}]}', original=422), EndpointMisconfigured),
        (botocore_errors.ReadTimeoutError(endpoint_url="http://x"), ModelFailed),
        (TimeoutError(), ModelFailed),
        (botocore_errors.ConnectTimeoutError(endpoint_url="http://x"), EndpointAway),
        (botocore_errors.ConnectionClosedError(endpoint_url="http://x"), EndpointAway),
        (botocore_errors.EndpointConnectionError(endpoint_url="http://x"), EndpointAway),
        (botocore_errors.NoCredentialsError(), EndpointMisconfigured),
        (aiohttp.ClientPayloadError(), EndpointAway),
        (ConnectionResetError(), EndpointAway),
    ],
)
def test_each_error_has_its_meaning(error: Exception, meaning: type[ServiceError]) -> None:
    assert isinstance(error, CALL_ERRORS)
    assert type(translated(error)) is meaning


def test_only_a_rejected_chunk_is_given_up_at_once() -> None:
    assert issubclass(AudioRejected, Permanent)
    for waiting in (EndpointCold, EndpointBusy, EndpointAway, EndpointMisconfigured, ModelFailed):
        assert issubclass(waiting, Transient)
