"""Channels of a recording: what becomes of them, and how the one is told that something is on."""

from enum import StrEnum

import msgspec


class Channels(StrEnum):
    """What becomes of the channels of a recording."""

    MIX = "mix"
    """All together, as one."""
    SPLIT = "split"
    """Each transcribed on its own: the parties of a call."""


Channel = int | msgspec.UnsetType
"""Which channel something is on, from 0; absent where all are mixed. No model tells it."""


def told(channel: int | None) -> Channel:
    """A channel as it stands beside a phrase."""
    return msgspec.UNSET if channel is None else channel
