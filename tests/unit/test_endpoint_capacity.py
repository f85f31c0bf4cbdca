"""How the batch's size follows what the machine can bear."""

from endpoint.capacity import Capacity

DEADLINE = 60.0


def rounds(capacity: Capacity, seconds: float, count: int) -> list[int]:
    """Capacity after each of `count` full batches whose requests all took `seconds`."""
    sizes, now = [], 100.0
    for _ in range(count):
        began, now = now, now + seconds
        for _ in range(capacity.rows):
            capacity.served(began, now, full=True)
        sizes.append(capacity.rows)
    return sizes


def test_a_fast_machine_is_at_its_most_after_a_few_rounds() -> None:
    assert rounds(Capacity(16, DEADLINE), 1.0, 3) == [8, 16, 16]


def test_a_slow_machine_goes_down_to_one() -> None:
    assert rounds(Capacity(16, DEADLINE), 40.0, 3) == [2, 1, 1]


def test_a_pace_between_the_two_is_kept() -> None:
    assert rounds(Capacity(16, DEADLINE), 20.0, 3) == [4, 4, 4]


def test_a_batch_with_free_places_says_nothing_about_more() -> None:
    capacity = Capacity(16, DEADLINE)
    for _ in range(10):
        capacity.served(0.0, 1.0, full=False)
    assert capacity.rows == 4


def test_a_request_that_left_after_long_counts_as_slow() -> None:
    capacity = Capacity(8, DEADLINE)
    capacity.left(10.0, 15.0)
    assert capacity.rows == 2
    capacity.left(10.0, 70.0)
    assert capacity.rows == 1


def test_there_is_always_one_place() -> None:
    assert Capacity(1, DEADLINE).rows == 1
    assert rounds(Capacity(1, DEADLINE), 59.0, 2) == [1, 1]
