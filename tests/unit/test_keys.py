"""Which keys verify: the current, the next, and the retired ones for as long as their tokens may live."""

import pytest

from services.auth.keys import (
    Document,
    Labelled,
    State,
    key_set,
    needs_successor,
    new_document,
    retired_keys,
)

WEEK = 7 * 86_400.0


def labelled(document: Document) -> Labelled:
    return Labelled(id=f"version-{document.kid}", document=document)


def first() -> State:
    """As after the first start."""
    return State(current=labelled(new_document(())), pending=labelled(new_document(())), previous=None)


def rotated(state: State, now: float) -> State:
    """As after one more rotation."""
    assert state.pending is not None
    moved = State(current=state.pending, pending=None, previous=state.current)
    successor = new_document(retired_keys(moved, now=now, keep_seconds=WEEK))
    return State(current=state.pending, pending=labelled(successor), previous=state.current)


def kids(state: State, now: float) -> set[str]:
    return set(key_set(state, now=now, keep_seconds=WEEK).public)


def test_the_next_key_is_published_before_it_signs() -> None:
    before = first()
    after = rotated(before, now=0.0)

    assert after.current.document.kid in kids(before, 0.0)
    assert key_set(after, now=0.0, keep_seconds=WEEK).kid == after.current.document.kid


@pytest.mark.parametrize("rotations", [1, 2, 5])
def test_every_key_of_the_last_week_verifies(rotations: int) -> None:
    states = [first()]
    for day in range(rotations):
        states.append(rotated(states[-1], now=day * 86_400.0))

    last = kids(states[-1], now=rotations * 86_400.0)

    assert {state.current.document.kid for state in states} <= last
    assert len(last) == rotations + 2


def test_a_key_retired_for_more_than_a_week_is_dropped() -> None:
    before = first()
    after = rotated(before, now=0.0)

    assert before.current.document.kid in kids(after, WEEK - 1)
    assert before.current.document.kid not in kids(after, WEEK + 1)
    assert kids(after, WEEK + 1) == {document.kid for document in after.documents()[:2]}


def test_dropped_keys_are_not_carried_on() -> None:
    state = first()
    for week in range(10):
        state = rotated(state, now=week * (WEEK + 1))

    assert state.pending is not None
    assert len(state.pending.document.retired) == 1


def test_a_rotation_cut_short_keeps_the_former_key_and_asks_for_a_successor() -> None:
    before = first()
    assert before.pending is not None
    cut_short = State(current=before.pending, pending=before.pending, previous=before.current)

    assert needs_successor(cut_short)
    assert not needs_successor(before)
    assert before.current.document.kid in kids(cut_short, 0.0)
    [retired] = retired_keys(cut_short, now=5.0, keep_seconds=WEEK)
    assert (retired.kid, retired.retired_at) == (before.current.document.kid, 5.0)


def test_the_public_half_is_listed_and_the_private_half_is_not() -> None:
    state = first()
    listed = key_set(state, now=0.0, keep_seconds=WEEK).listed

    assert {key.x for key in listed} == {document.x() for document in state.documents()}
    assert not {key.x for key in listed} & {document.private_key for document in state.documents()}
