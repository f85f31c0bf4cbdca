"""Slowing of guesses: free tries, growing waits, forgiveness, and bounded memory."""

import pytest

from services.auth.throttle import Failures, Limits, Throttle, network

LIMITS = Limits(free=3, first_delay=1.0, longest_delay=8.0, forget_after=100.0)


def fail(failures: Failures, key: str, now: float, times: int = 1) -> None:
    for _ in range(times):
        failures.begun(key)
        failures.failed(key, now)
        failures.ended(key)


def test_an_unknown_key_never_waits() -> None:
    assert Failures(LIMITS).wait("ann", 0.0) == 0.0


def test_the_first_failures_are_free() -> None:
    failures = Failures(LIMITS)
    fail(failures, "ann", 0.0, times=2)

    assert failures.wait("ann", 0.0) == 0.0


def test_waits_double_up_to_the_longest() -> None:
    failures = Failures(LIMITS)
    waits = []
    for _ in range(8):
        fail(failures, "ann", 0.0)
        waits.append(failures.wait("ann", 0.0))

    assert waits == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_wait_runs_out() -> None:
    failures = Failures(LIMITS)
    fail(failures, "ann", 0.0, times=4)

    assert failures.wait("ann", 1.5) == 0.5
    assert failures.wait("ann", 2.0) == 0.0


def test_keys_are_independent() -> None:
    failures = Failures(LIMITS)
    fail(failures, "ann", 0.0, times=9)

    assert failures.wait("bob", 0.0) == 0.0


def test_a_quiet_key_starts_afresh() -> None:
    failures = Failures(LIMITS)
    fail(failures, "ann", 0.0, times=9)
    assert failures.wait("ann", 101.0) == 0.0

    fail(failures, "ann", 101.0)

    assert failures.wait("ann", 101.0) == 0.0


def test_good_tries_may_run_at_the_same_time() -> None:
    failures = Failures(LIMITS)
    for _ in range(50):
        assert failures.wait("ann", 0.0) == 0.0
        failures.begun("ann")


def test_a_slowed_key_has_one_try_in_hand() -> None:
    failures = Failures(LIMITS)
    fail(failures, "ann", 0.0, times=3)
    assert failures.wait("ann", 5.0) == 0.0

    failures.begun("ann")

    assert failures.wait("ann", 5.0) == LIMITS.first_delay


def test_keys_without_failures_are_not_remembered() -> None:
    failures = Failures(LIMITS)
    failures.begun("ann")
    failures.ended("ann")

    assert len(failures) == 0


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    failures = Failures(LIMITS, capacity=10)
    for number in range(100):
        fail(failures, f"user-{number}", 0.0, times=3)

    assert len(failures) == 10
    assert failures.wait("user-99", 0.0) > 0
    assert failures.wait("user-0", 0.0) == 0.0


def test_success_clears_the_user_but_not_the_address() -> None:
    throttle = Throttle(user=LIMITS, address=LIMITS)
    for _ in range(3):
        throttle.begun("ann", "10.0.0.1")
        throttle.failed("ann", "10.0.0.1", 0.0)
        throttle.ended("ann", "10.0.0.1")

    throttle.succeeded("ann")

    assert throttle.wait("ann", "10.0.0.2", 0.0) == 0.0
    assert throttle.wait("ann", "10.0.0.1", 0.0) == 1.0


def test_one_address_is_slowed_over_all_users() -> None:
    throttle = Throttle(user=LIMITS, address=LIMITS)
    for number in range(3):
        throttle.begun(f"user-{number}", "10.0.0.1")
        throttle.failed(f"user-{number}", "10.0.0.1", 0.0)
        throttle.ended(f"user-{number}", "10.0.0.1")

    assert throttle.wait("somebody-else", "10.0.0.1", 0.0) == 1.0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("unix", "unix"),
    ],
)
def test_an_ipv6_household_is_one_address(address: str, counted: str) -> None:
    assert network(address) == counted
