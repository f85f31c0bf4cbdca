"""Changing every NKey without locking anybody out."""

from services.contracts.rights import Role
from services.provision.authorization import new_seed, public_key
from services.provision.secret import JETSTREAM_KEY, PUBLIC, Step, renewed, secret


def fresh() -> dict[str, str]:
    texts = secret("keys", {role: new_seed() for role in Role})["stringData"]
    assert isinstance(texts, dict)
    return texts


def admits(texts: dict[str, str], seed: str, role: Role) -> bool:
    return f"{role}={public_key(seed)}" in texts[PUBLIC].splitlines()


def test_nats_knows_each_key_as_long_as_somebody_may_come_with_it() -> None:
    before = fresh()
    begun = renewed(before, "begin")
    switched = renewed(begun, "switch")
    finished = renewed(switched, "finish")
    for role in Role:
        old, new = before[role.value], switched[role.value]
        assert old != new
        all_along = (before, begun, switched, finished)
        assert [admits(texts, old, role) for texts in all_along] == [True, True, True, False]
        assert [admits(texts, new, role) for texts in all_along] == [False, True, True, True]
        assert begun[role.value] == old
    assert finished.keys() == before.keys()
    assert finished[JETSTREAM_KEY] == before[JETSTREAM_KEY]


def test_a_role_without_a_key_stays_without() -> None:
    texts = fresh()
    del texts[Role.PROVISION.value]
    assert renewed(texts, "begin").keys() & {"provision", "provision.next"} == set()


def test_a_step_may_be_repeated_and_the_whole_begun_again() -> None:
    steps: list[Step] = ["begin", "switch", "finish"]
    texts = fresh()
    for step in steps:
        texts = renewed(texts, step)
        assert renewed(texts, step) == texts
    half = renewed(renewed(fresh(), "begin"), "switch")
    again = renewed(half, "begin")
    assert set(half[PUBLIC].splitlines()) < set(again[PUBLIC].splitlines()), "services may still have the old"
