"""Records kept for lists: never an outdated one, never too many."""

from services.common.bus import Stored
from services.gateway.recent_records import RecentRecords


def record(subject: str, sequence: int, size: int = 10) -> Stored:
    return Stored(subject=subject, sequence=sequence, data=b"x" * size, headers={})


def test_only_the_record_with_the_wanted_sequence_is_given() -> None:
    records = RecentRecords()
    records.put(record("a", 1))
    assert records.get("a", 1) == record("a", 1)
    assert records.get("a", 2) is None
    records.put(record("a", 2))
    assert records.get("a", 1) is None
    assert records.get("a", 2) == record("a", 2)
    assert records.get("b", 1) is None


def test_those_used_the_longest_ago_make_room() -> None:
    records = RecentRecords(most_bytes=30)
    for sequence, subject in enumerate("abc"):
        records.put(record(subject, sequence))
    assert records.get("a", 0)
    records.put(record("d", 3))
    assert [records.get(subject, sequence) is not None for sequence, subject in enumerate("abcd")] == [
        True,
        False,
        True,
        True,
    ]
    records.put(record("e", 4, size=31))
    assert records.get("e", 4) is None, "one that is larger than all the room is not kept"
