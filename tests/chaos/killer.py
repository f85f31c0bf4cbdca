"""Which process dies when: decided by a seed before anything runs."""

import asyncio
import random
from collections.abc import Callable, Sequence

import msgspec

from tests.chaos.cast import BROKER, Cast, kind

BROKER_SHARE = 0.2
"""Of the kills beyond the first of each process: all hangs on the broker."""
LONGEST_DOWN_SECONDS = 3.0
FROZEN_SECONDS = 20.0
EVERY_BROKER = "every nats-server"


class Blow(msgspec.Struct, frozen=True, kw_only=True):
    """One kill -9: when, whom, and how long the process stays away (seconds)."""

    at: float
    victim: str
    """EVERY_BROKER stands for all servers of NATS at once."""
    down_seconds: float
    frozen: bool = False
    """SIGSTOP instead, and SIGCONT after `down_seconds`."""


def schedule(seed: int, names: Sequence[str], count: int, seconds: float) -> tuple[Blow, ...]:
    """`count` blows spread over `seconds`; nobody is spared where `count` allows it."""
    chance = random.Random(seed)
    brokers = [name for name in names if kind(name) == BROKER]
    others = [name for name in names if name not in brokers]
    victims = chance.sample(names, k=min(count, len(names)))
    while len(victims) < count:
        victims.append(chance.choice(brokers if chance.random() < BROKER_SHARE else others))
    chance.shuffle(victims)
    times = sorted(chance.uniform(0, seconds) for _ in victims)
    return tuple(
        Blow(at=at, victim=victim, down_seconds=chance.uniform(0, LONGEST_DOWN_SECONDS))
        for at, victim in zip(times, victims, strict=True)
    )


def cluster_blows(seed: int, brokers: Sequence[str], seconds: float) -> tuple[Blow, ...]:
    """What only a cluster survives or only a cluster suffers: all at once, and one that freezes."""
    chance = random.Random(f"cluster {seed}")
    return (
        Blow(at=seconds * 0.3, victim=EVERY_BROKER, down_seconds=chance.uniform(0, LONGEST_DOWN_SECONDS)),
        Blow(at=seconds * 0.6, victim=chance.choice(brokers), down_seconds=FROZEN_SECONDS, frozen=True),
    )


async def strike(cast: Cast, blows: Sequence[Blow], say: Callable[[str], None]) -> None:
    """Carry the blows out; one whose victim is still down waits for it."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number, blow in enumerate(blows, start=1):
        await asyncio.sleep(max(0.0, started + blow.at - loop.time()))
        await _struck(cast, blow)
        how = "frozen" if blow.frozen else "killed"
        say(f"{number}/{len(blows)} {blow.victim} {how}, away for {blow.down_seconds:.1f} s")


async def _struck(cast: Cast, blow: Blow) -> None:
    if blow.frozen:
        await cast.freeze(blow.victim, blow.down_seconds)
    elif blow.victim == EVERY_BROKER:
        await cast.kill_brokers(blow.down_seconds)
    else:
        await cast.kill(blow.victim, blow.down_seconds)
