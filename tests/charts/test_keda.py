"""The rules of the autoscalers, and a day of load on their clock: what the chosen values do."""

import itertools
import math
import random
from collections.abc import Callable, Iterator

import msgspec
import pytest

from services.contracts.topology import CHUNKERS, CONSUMERS, TRANSCRIBERS, WAITING
from tests.charts.keda import SYNC_SECONDS, Autoscaler, Policy, Rules, ScaledObject, evaluated, lives
from tests.charts.scaling import scaled_objects

CHUNKER, TRANSCRIBER = (scaled_objects()[service] for service in ("chunker", "transcriber"))
HOUR = 3600.0
DAY = 24 * HOUR


def lags(**found: int) -> dict[str, int]:
    """Zero but for those given, such as `short=3` for short jobs."""
    names = [consumer.name for consumer in (WAITING, *CHUNKERS.values(), *TRANSCRIBERS.values())]
    chosen = {
        f"chunker-{name}".replace("chunker-chunks_", "transcriber-"): lag for name, lag in found.items()
    }
    assert chosen.keys() <= set(names)
    return dict.fromkeys(names, 0) | chosen


def settled(spec: ScaledObject, **found: int) -> int:
    """Replicas after some minutes of this lag, from zero."""
    scaler = Autoscaler(spec)
    for now in range(0, 300, 5):
        scaler.poll(now, lags(**found))
        if now % 15 == 0:
            scaler.sync(now, lags(**found))
    return scaler.replicas


@pytest.mark.parametrize(
    ("found", "chunkers", "transcribers"),
    [
        ({}, 0, 0),
        ({"waiting": 1}, 1, 1),
        ({"waiting": 200}, 1, 1),
        ({"short": 1}, 1, 1),
        ({"short": 7}, 1, 1),
        ({"short": 8}, 2, 1),
        ({"long": 5}, 1, 1),
        ({"long": 6}, 2, 1),
        ({"short": 7, "long": 5, "low": 2}, 1, 1),
        ({"long": 1, "chunks_long": 8}, 1, 1),
        ({"long": 2, "chunks_long": 16}, 1, 2),
        ({"chunks_short": 4, "chunks_long": 4, "chunks_low": 4}, 0, 2),
        ({"long": 1000, "chunks_long": 1000}, CHUNKER.most, TRANSCRIBER.most),
    ],
    ids=str,
)
def test_what_is_needed_for(found: dict[str, int], chunkers: int, transcribers: int) -> None:
    assert settled(CHUNKER, **found) == chunkers
    assert settled(TRANSCRIBER, **found) == transcribers


def test_every_queue_that_is_asked_for_is_declared() -> None:
    asked = {(trigger.stream, trigger.consumer) for one in (CHUNKER, TRANSCRIBER) for trigger in one.triggers}
    assert asked <= {consumer.queue for consumer in CONSUMERS}


@pytest.mark.parametrize("slots", [3, 8, 11, 32, 64])
def test_no_job_waits_within_the_tolerance(slots: int) -> None:
    """However many chunkers there are, one job more than they have slots for brings another."""
    spec = scaled_objects({"services.chunker.env.CHUNKER_SLOTS": slots})["chunker"]
    spec = msgspec.structs.replace(spec, most=100)
    for lane, share in (("short", slots), ("long", slots * 3 // 4)):
        for replicas in range(1, 40):
            scaler = Autoscaler(spec)
            scaler.replicas = replicas
            scaler.sync(0, lags(**{lane: share * replicas + 1}))
            assert scaler.replicas > replicas


def test_the_first_replica_comes_at_the_next_look_and_the_last_goes_after_the_cooldown() -> None:
    scaler = Autoscaler(CHUNKER)
    scaler.poll(0, lags())
    scaler.poll(5, lags(waiting=1))
    assert scaler.replicas == 1
    scaler.poll(10, lags())
    scaler.poll(5 + CHUNKER.cooldown, lags())
    assert scaler.replicas == 1
    scaler.poll(10 + CHUNKER.cooldown, lags())
    assert scaler.replicas == 0


def test_chunkers_leave_one_by_one_after_calm_minutes() -> None:
    scaler = Autoscaler(CHUNKER)
    scaler.poll(0, lags(long=20))
    for now in range(0, int(HOUR), 15):
        scaler.sync(now, lags(long=20 if now < 60 else 1))
    times = [at for at, count in scaler.history if count < 4 and at > 60]
    window = CHUNKER.down.stabilizationWindowSeconds
    assert [count for _, count in scaler.history[-3:]] == [3, 2, 1]
    assert times[0] >= 45 + window
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))


def test_policies_bound_each_step() -> None:
    rules = Rules(
        stabilizationWindowSeconds=0, policies=(Policy(type="Percent", value=50, periodSeconds=60),)
    )
    spec = msgspec.structs.replace(CHUNKER, most=100, up=rules, down=rules)
    scaler = Autoscaler(spec)
    scaler.poll(0, lags(short=700))
    for now in range(0, 240, 15):
        scaler.sync(now, lags(short=700))
    assert [count for _, count in scaler.history] == [1, 2, 3, 5, 8]
    for now in range(240, 420, 15):
        scaler.sync(now, lags(short=1))
    assert [count for _, count in scaler.history[5:]] == [4, 2, 1]


def test_a_formula_beyond_the_model_is_refused() -> None:
    assert evaluated("max(a + b, min(c, 1))", {"a": 2, "b": 3, "c": 9}) == 5
    with pytest.raises(ValueError, match=r"'a \* 2'"):
        evaluated("a * 2", {"a": 1})


def day_of_jobs(seed: int) -> Iterator[tuple[float, int]]:
    """Every 15 s, how many jobs run: quiet nights, busy noons, some a minute long and some an hour."""
    chance = random.Random(seed)
    ends: list[float] = []
    for step in range(int(DAY / SYNC_SECONDS)):
        now = step * SYNC_SECONDS
        busy = max(0.0, math.sin(math.pi * (now / HOUR - 7) / 12)) if 7 < now / HOUR < 19 else 0.02
        if chance.random() < busy * SYNC_SECONDS / 20:
            ends.append(now + 60 * chance.lognormvariate(1, 1))
        ends = [end for end in ends if end > now]
        yield now, len(ends)


def history(
    spec: ScaledObject, lag: Callable[[int, random.Random], dict[str, int]]
) -> list[tuple[float, int]]:
    scaler, chance = Autoscaler(spec), random.Random(1)
    for now, jobs in day_of_jobs(1):
        found = lag(jobs, chance)
        scaler.poll(now, found)
        scaler.sync(now, found)
    return scaler.history


def of_jobs(jobs: int, _chance: random.Random) -> dict[str, int]:
    return lags(long=jobs)


def of_chunks(jobs: int, chance: random.Random) -> dict[str, int]:
    """Of each job a window that is more or less full."""
    full = chance.gauss(5 * jobs, 2 * math.sqrt(jobs))
    return lags(long=jobs, chunks_long=round(min(8 * jobs, max(jobs, full))))


@pytest.mark.parametrize(
    ("spec", "lag"), [(CHUNKER, of_jobs), (TRANSCRIBER, of_chunks)], ids=["chunker", "transcriber"]
)
def test_a_day_brings_no_flapping(spec: ScaledObject, lag: Callable[..., dict[str, int]]) -> None:
    """Who comes stays for minutes; without the calm minutes before one goes, most would go at once."""
    hasty = Rules(stabilizationWindowSeconds=0, policies=spec.down.policies)
    calm = history(spec, lag)
    assert max(count for _, count in calm) == spec.most
    assert min(lives(calm)) >= spec.shortest_life
    flapping = history(msgspec.structs.replace(spec, cooldown=0, down=hasty), lag)
    assert len(lives(flapping)) > 2 * len(lives(calm))
    assert min(lives(flapping)) < 60
