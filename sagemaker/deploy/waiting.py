"""Waits for AWS, with a line that says for what."""

import time
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from deploy.console import Console
from deploy.errors import DeployError, InTransition


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often to look, and for how long."""

    poll_seconds: float
    wait_seconds: float


def settled(
    title: str,
    find: Callable[[], dict[str, Any] | None],
    field: str,
    busy: Collection[str],
    patience: Patience,
    console: Console,
) -> dict[str, Any] | None:
    """What is found once its state in `field` is outside `busy`, or None where there is nothing.

    Raises `DeployError` when patience ends; AWS goes on by itself.
    """
    started = time.monotonic()
    while (found := find()) and found[field] in busy:
        spent = time.monotonic() - started
        _check(title, found[field], spent, patience)
        console.progress(title, found[field], spent)
        time.sleep(patience.poll_seconds)
    return found


def when_free(title: str, act: Callable[[], None], patience: Patience, console: Console) -> None:
    """Do what is refused while the thing is changing, as soon as it no longer is."""
    started = time.monotonic()
    while True:
        try:
            return act()
        except InTransition as error:
            spent = time.monotonic() - started
            _check(title, error.said, spent, patience)
            console.progress(title, "is changing, waiting for its end", spent)
            time.sleep(patience.poll_seconds)


def _check(title: str, state: str, spent: float, patience: Patience) -> None:
    if spent >= patience.wait_seconds:
        raise DeployError(
            f"{title} is still {state} after {spent / 60:.0f} minutes. AWS goes on with it: run the same "
            "command again to follow it, with a longer --wait-minutes"
        )
