"""Which process dies when: decided by a seed before anything runs."""

import asyncio
import random
from collections.abc import Callable, Sequence

import msgspec

from tests.chaos.cast import BROKER, Cast

BROKER_SHARE = 0.2
"""Of the kills beyond the first of each process: all hangs on the broker."""
LONGEST_DOWN_SECONDS = 3.0


class Blow(msgspec.Struct, frozen=True, kw_only=True):
    """One kill -9: when, whom, and how long the process stays away (seconds)."""

    at: float
    victim: str
    down_seconds: float


def schedule(seed: int, names: Sequence[str], count: int, seconds: float) -> tuple[Blow, ...]:
    """`count` blows spread over `seconds`; nobody is spared where `count` allows it."""
    chance = random.Random(seed)
    others = [name for name in names if name != BROKER]
    victims = chance.sample(names, k=min(count, len(names)))
    while len(victims) < count:
        victims.append(BROKER if chance.random() < BROKER_SHARE else chance.choice(others))
    chance.shuffle(victims)
    times = sorted(chance.uniform(0, seconds) for _ in victims)
    return tuple(
        Blow(at=at, victim=victim, down_seconds=chance.uniform(0, LONGEST_DOWN_SECONDS))
        for at, victim in zip(times, victims, strict=True)
    )


async def strike(cast: Cast, blows: Sequence[Blow], say: Callable[[str], None]) -> None:
    """Carry the blows out; one whose victim is still down waits for it."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number, blow in enumerate(blows, start=1):
        await asyncio.sleep(max(0.0, started + blow.at - loop.time()))
        await cast.kill(blow.victim, blow.down_seconds)
        say(f"{number}/{len(blows)} {blow.victim} killed, away for {blow.down_seconds:.1f} s")
