"""Limits for a decoder of this machine, as a chunker would take them."""

import functools

import msgspec

from services.chunker import sandbox
from services.chunker.child import DecodeLimits


@functools.cache
def limits() -> DecodeLimits:
    """The usual ones, in the sandbox that can be had here."""
    return DecodeLimits(sandbox=sandbox.tried())


def limits_with(**changes: float) -> DecodeLimits:
    """The usual ones but for these."""
    return msgspec.structs.replace(limits(), **changes)
