"""How many jobs of a user run at the same time, and which of those that wait come next: pure rules."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from services.contracts.messages import Lane
from services.contracts.topology import admitted, lane_of_work


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A command that waits for a place."""

    sequence: int
    """In its stream: the order in which jobs came."""
    subject: str
    data: bytes


def places(user_jobs: int) -> dict[Lane, int]:
    """The most jobs of each lane that a user with `user_jobs` places has running.

    Short uploads may have all places, long ones three quarters: a short one then has a place at once,
    however many hours of audio its user has queued. Those of low priority have a quarter as many beside.
    """
    return {
        Lane.SHORT: user_jobs,
        Lane.LONG: max(1, user_jobs * 3 // 4),
        Lane.LOW: max(1, user_jobs // 4),
    }


def beginning(waiting: Iterable[Waiting], running: Iterable[str], user_jobs: int) -> list[Waiting]:
    """Those of one user's waiting commands whose jobs may begin now, in the order in which they came.

    `running` are the subjects of the commands that were let in and not settled. The same facts give the
    same answer in every process, so that two which decide at the same time let in the same jobs.
    """
    most = places(user_jobs)
    taken = Counter(lane_of_work(subject) for subject in running)
    begun = set(running)
    chosen = []
    for command in sorted(waiting, key=lambda command: command.sequence):
        lane = Lane(lane_of_work(command.subject))
        if admitted(command.subject) in begun:  # let in by a process that died, or is about to say so
            continue
        total = sum(taken[other] for other in lane.sharing)
        if total < user_jobs and taken[lane] < most[lane]:
            taken[lane] += 1
            chosen.append(command)
    return chosen
