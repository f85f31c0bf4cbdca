"""Which of a user's waiting jobs begin, and when a job may send one more chunk."""

import pytest

from services.chunker.places import Waiting, beginning, places
from services.chunker.window import is_open
from services.contracts import topology
from services.contracts.messages import Lane

R = 4


def waiting(*names: str) -> list[Waiting]:
    """Commands in the order in which they came; S, L and B (bulk) say in which lane."""
    return [
        Waiting(sequence=number, subject=topology.waiting(lane_of(name), "ann", f"{name}-0", 0), data=b"")
        for number, name in enumerate(names, start=1)
    ]


def running(*names: str) -> list[str]:
    return [topology.control(lane_of(name), "ann", f"{name}-0", 0) for name in names]


def lane_of(name: str) -> Lane:
    return {"S": Lane.SHORT, "L": Lane.LONG, "B": Lane.LOW}[name[0]]


def begun(commands: list[Waiting], subjects: list[str], user_jobs: int = R) -> list[str]:
    return [topology.run_of_work(one.subject)[:-2] for one in beginning(commands, subjects, user_jobs)]


@pytest.mark.parametrize(
    ("wait", "run", "begin"),
    [
        ("S1 S2 S3 S4 S5", "", "S1 S2 S3 S4"),
        ("S5 S6", "S1 S2 S3", "S5"),
        ("S5", "S1 S2 S3 S4", ""),
        ("L1 L2 L3 L4", "", "L1 L2 L3"),
        ("L4 S1", "L1 L2 L3", "S1"),
        ("L4 S2", "L1 L2 L3 S1", ""),
        ("L4 S2", "L1 L2 S1", "L4"),
        ("L1 S1", "", "L1 S1"),
        ("S1 S2", "S1", "S2"),
        ("B1 B2 S1", "", "B1 S1"),
        ("B2", "B1", ""),
        ("B1", "S1 S2 S3 S4", "B1"),
        ("S4 S5", "S1 S2 S3 B1", "S4"),
    ],
)
def test_places_go_to_those_who_came_first_and_one_is_kept_for_short_ones(
    wait: str, run: str, begin: str
) -> None:
    assert begun(waiting(*wait.split()), running(*run.split())) == begin.split()


def test_order_is_that_of_the_stream() -> None:
    assert begun(list(reversed(waiting("S1", "S2", "S3"))), running("S8", "S9")) == ["S1", "S2"]


def test_one_place_is_enough_for_any_job() -> None:
    assert places(1) == {Lane.SHORT: 1, Lane.LONG: 1, Lane.LOW: 1}
    assert begun(waiting("L1", "S1"), [], user_jobs=1) == ["L1"]


def test_two_processes_that_know_different_amounts_give_no_place_twice() -> None:
    """One of them has not heard yet that the other let S2 in; the queue says so."""
    assert begun(waiting("S2", "S3"), running("S1", "S8", "S9", "S2")) == []


@pytest.mark.parametrize(
    ("own", "others", "jobs", "free"),
    [
        (0, 0, 1, True),
        (7, 0, 1, True),
        (8, 0, 1, False),
        (7, 1, 2, False),
        (3, 5, 2, True),
        (4, 4, 2, False),
        (0, 8, 2, True),
        (2, 6, 4, False),
        (1, 7, 4, True),
        (0, 40, 20, True),
    ],
)
def test_a_window_is_shared(own: int, others: int, jobs: int, free: bool) -> None:
    assert is_open(own, others, jobs, 8) is free


@pytest.mark.parametrize("jobs", range(1, 9))
def test_a_user_may_exceed_the_window_by_the_shares_of_jobs_that_begin_later_only(jobs: int) -> None:
    """The worst case: each job finds the window full, and nothing gets its text meanwhile."""
    size, counts = 8, [0] * jobs
    for job in range(jobs):
        while is_open(counts[job], sum(counts) - counts[job], job + 1, size):
            counts[job] += 1
    shares = [max(1, size // number) for number in range(1, jobs + 1)]
    assert counts == shares
    assert sum(shares[:R]) <= 2 * size
