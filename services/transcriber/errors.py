"""What can go wrong at the endpoint, and how each is retried.

* Permanent
  x AudioRejected         the container refused this chunk: a gap, at once
* Transient
  + EndpointCold          no instance is up yet; it is being started
  + EndpointBusy          every instance is full
  + EndpointAway          it could not be reached, or it broke off
  + EndpointMisconfigured no such endpoint, or no right to call it: an operator has to act
  + ModelFailed           the model broke or took too long on this chunk: a few tries only
"""

from services.common.errors import Permanent, Transient


class AudioRejected(Permanent):
    """The container says that this request can never work."""

    code = "audio_rejected"


class EndpointCold(Transient):
    """The endpoint has no instance in service yet."""

    code = "endpoint_cold"


class EndpointBusy(Transient):
    """The endpoint has no room for another request."""

    code = "endpoint_busy"


class EndpointAway(Transient):
    """The endpoint did not answer."""

    code = "endpoint_away"


class EndpointMisconfigured(Transient):
    """Name, region or rights of the endpoint are wrong; chunks wait while somebody mends it."""

    code = "endpoint_misconfigured"


MODEL_TIMEOUT = "model_timeout"
"""Code of a call that the model, or what is before it, did not answer in time."""


class ModelFailed(Transient):
    """The model failed on this chunk."""

    code = "model_failed"


CALL_CODES = (
    AudioRejected.code,
    EndpointCold.code,
    EndpointBusy.code,
    EndpointAway.code,
    EndpointMisconfigured.code,
    ModelFailed.code,
    MODEL_TIMEOUT,
)
"""What a call may fail with."""
