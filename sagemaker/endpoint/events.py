"""What a step of the engine brings for the requests in it."""

import msgspec

from services.contracts.inference import InferenceResult


class Progressed(msgspec.Struct, frozen=True):
    """Text of the leading hypothesis up to its last closed segment: a later event may still take it back."""

    key: int
    text: str


class Finished(msgspec.Struct, frozen=True):
    """A request's transcript."""

    key: int
    result: InferenceResult


class Failed(msgspec.Struct, frozen=True):
    """A request that broke the model; the others go on."""

    key: int
    error: Exception


Event = Progressed | Finished | Failed
