"""What was said on several channels of a recording, brought together: by time, and with labels for people."""

from collections.abc import Callable
from operator import attrgetter
from typing import Protocol, TypeVar

import msgspec

from services.contracts.channels import Channel


class OnChannel(Protocol):
    """Something that may be on one of several channels."""

    @property
    def channel(self) -> Channel:
        """Which, from 0."""


T = TypeVar("T", bound=OnChannel)


def merged(found: list[T], time: Callable[[T], float] = attrgetter("start")) -> list[T]:
    """Of several channels in the order of time; what is of one recording's mix is in order already."""
    if not found or found[0].channel is msgspec.UNSET:
        return found
    return sorted(found, key=lambda one: (time(one), one.channel))


def labelled(text: str, channel: Channel) -> str:
    """What is said with a channel's name before it, counted as people do; nothing said needs none."""
    return text if channel is msgspec.UNSET or not text else f"Channel {channel + 1}: {text}"
