"""How a window is tried again when its text is implausible: with fewer hotwords, then more freely."""

import msgspec

from endpoint.steering import Steering

COMPRESSION_RATIO = 2.4
"""Text that compresses better than this repeats itself (openai/whisper)."""
AVG_LOGPROB = -1.0
"""Text that the model finds less probable than this is most likely wrong (openai/whisper)."""


class Attempt(msgspec.Struct, frozen=True):
    """One way to write a window's text."""

    temperature: float
    share: float
    """Of the hotwords' boost; 0 leaves them out, those in the prompt too."""


PLAIN = tuple(Attempt(temperature / 10, 1.0) for temperature in (0, 2, 4, 6, 8, 10))
"""openai/whisper's."""
STEERED = (
    Attempt(0.0, 1.0),
    Attempt(0.0, 0.0),
    Attempt(0.2, 0.5),
    Attempt(0.4, 0.5),
    *(Attempt(temperature / 10, 0.0) for temperature in (6, 8, 10)),
)


def ladder(temperature: float, steered: Steering) -> tuple[Attempt, ...]:
    """The attempts in their order; somebody who asks for a temperature gets that one."""
    if temperature:
        return (Attempt(temperature, 1.0),)
    return STEERED if steered.prompt or steered.automaton else PLAIN


def flaw(avg_logprob: float, compression_ratio: float) -> str | None:
    """Why a text is implausible, if it is."""
    if compression_ratio > COMPRESSION_RATIO:
        return "repetition"
    return "improbable" if avg_logprob < AVG_LOGPROB else None
