"""Names of sessions, and which of them a mark ends."""

from services.contracts.sessions import EndedSessions, everything_of, owner_of, session_id


def test_two_sessions_of_one_moment_differ_and_tell_whose_they_are() -> None:
    one, other = session_id("ann", 10.0), session_id("ann", 10.0)
    assert one != other
    assert owner_of(one) == owner_of(other) == "ann"
    assert "." not in one


def test_a_mark_ends_what_its_owner_had_and_nothing_else() -> None:
    ended = EndedSessions([everything_of("ann", 10.0)])
    assert session_id("ann", 9.0) in ended
    assert session_id("ann", 10.0) in ended
    assert session_id("ann", 10.000_001) not in ended
    assert session_id("bob", 9.0) not in ended


def test_the_later_of_two_marks_counts_in_any_order() -> None:
    marks = [everything_of("ann", 20.0), everything_of("ann", 10.0)]
    for order in (marks, marks[::-1]):
        assert session_id("ann", 15.0) in EndedSessions(order)


def test_a_session_is_ended_by_its_own_name() -> None:
    one, other = session_id("ann", 10.0), session_id("ann", 10.0)
    ended = EndedSessions([one])
    assert one in ended
    assert other not in ended


def test_a_name_of_another_form_is_ended_by_that_name_only() -> None:
    assert "s1" not in EndedSessions([everything_of("s1", 10.0)])
    assert "s1" in EndedSessions(["s1"])
