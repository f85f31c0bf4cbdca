"""What the container can be told through its environment."""

import os
from typing import Literal

import msgspec

CPU_ROWS = 8
GPU_ROWS = 16


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults run on SageMaker as they are."""

    whisper_model: str = "auto"
    """Model directory, hub id, or `auto`: openai/whisper-base if the hub answers, else the bundled model."""
    host: str = "0.0.0.0"  # noqa: S104  # SageMaker calls the container's own address
    """Address that HTTP listens on."""
    sagemaker_bind_to_port: int = 8080
    """Port of /ping, /invocations and /metrics; SageMaker sets it where containers share a host."""
    max_batch: int = 0
    """Requests decoded together at most; 0 means 8 on a CPU and 16 on a GPU."""
    batch_wait_ms: float = 5.0
    """How long an idle model waits for company to a request, so that they begin together."""
    max_queue: int = 16
    """Requests that may wait for a place in the batch; one more is answered 429."""
    queue_timeout_seconds: float = 20.0
    """Longest wait for a place; then the request is answered 429 and tried again later."""
    request_timeout_seconds: float = 60.0
    """Longest time from a request's arrival to its answer; SageMaker itself gives up after 60 s."""
    drain_seconds: float = 28.0
    """How long requests may take to finish after SIGTERM; SageMaker kills the container after 30 s."""
    torch_threads: int = 0
    """Threads the model computes with; 0 means one per core, at most four."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU where there is one."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """float32, float16, bfloat16, or `auto`: float16 on a GPU, float32 on a CPU."""
    log_level: str = "info"
    """debug, info, warning or error."""
    otel_exporter_otlp_endpoint: str = ""
    """Collector that gets traces by OTLP over HTTP, such as `http://collector:4318`; empty sends none."""

    def rows(self, device: str) -> int:
        """`max_batch`, resolved."""
        return self.max_batch or (CPU_ROWS if device == "cpu" else GPU_ROWS)

    @property
    def threads(self) -> int:
        """`torch_threads`, resolved."""
        return self.torch_threads or min(4, os.cpu_count() or 1)
