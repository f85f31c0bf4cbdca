"""What is kept of work that was given up, so that an operator can look at it and put it back."""

import time

import msgspec

from services.contracts import topology
from services.contracts.messages import MessageGivenUp, Problem


def dead_letter(
    stream: str, sequence: int, *, subject: str, deliveries: int, code: str, message: str
) -> tuple[str, bytes]:
    """Subject and content of the letter for one message of a work queue."""
    letter = MessageGivenUp(
        stream=stream,
        sequence=sequence,
        subject=subject,
        deliveries=deliveries,
        problem=Problem(code=code, message=message),
        at=time.time(),
    )
    return topology.dead_letter(stream, sequence), msgspec.json.encode(letter)
