"""Settings of the transcriber."""

from services.common.settings import ServiceSettings
from services.transcriber.contract import Contract


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Where the endpoint is, and how hard to try."""

    sagemaker_endpoint: str = "whisper-endpoint"
    """Name of the SageMaker endpoint."""
    sagemaker_inference_component: str = ""
    """Name of the endpoint's inference component, where it has any: one that scales to zero does."""
    endpoint_contract: Contract = Contract.NATIVE
    """How it is asked: native, npy, huggingface, huggingface_json, jumpstart, openai or whisperx."""
    aws_region: str = "cn-northwest-1"
    """AWS region of the endpoint."""
    transcriber_slots: int = 8
    """Chunks in flight at once in this process: the endpoint's capacity divided by the processes."""
    connect_timeout_seconds: float = 5.0
    """How long a connection to the endpoint may take."""
    read_timeout_seconds: float = 70.0
    """How long an answer may take; SageMaker itself ends a call after 60 s."""
    chunk_patience_seconds: float = 900.0
    """How long an endpoint that is cold, busy or away is tried again before a chunk becomes a gap."""
    model_attempts: int = 3
    """Calls in which the model itself may fail on a chunk before it becomes a gap."""
