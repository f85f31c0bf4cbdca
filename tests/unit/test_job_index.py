"""The order of an owner's jobs as their records come, change and go."""

import msgspec

from services.common.bus import Stored
from services.contracts.messages import JobOptions, JobRecord, Lane
from services.gateway.job_index import JobIndex


def record(job: str, created_at: float, session: str = "s", *, deleted: bool = False) -> Stored:
    made = JobRecord(
        id=job,
        owner="owner",
        user="ann",
        session=session,
        name="talk.mp3",
        options=JobOptions(),
        created_at=created_at,
        lane=Lane.SHORT,
        deleted=deleted,
    )
    return Stored(
        subject=job,
        sequence=1,
        data=msgspec.json.encode(made),
        headers={"Nats-Time-Stamp": "2026-01-31T09:00:00Z"},
    )


def indexed(*records: Stored) -> JobIndex:
    index = JobIndex()
    for one in records:
        index.add(one)
    return index


def listed(index: JobIndex, limit: int = 10) -> list[str]:
    return [entry.id for entry in index.page(limit, None)[0]]


def test_newest_first_whatever_order_they_come_in() -> None:
    index = indexed(record("b", 2), record("a", 1), record("d", 4), record("c", 3))
    assert listed(index) == ["d", "c", "b", "a"]
    page, more = index.page(3, None)
    assert ([entry.id for entry in page], more) == (["d", "c", "b"], True)
    page, more = index.page(3, page[-1])
    assert ([entry.id for entry in page], more) == (["a"], False)


def test_a_page_goes_on_after_a_job_that_is_gone_by_now() -> None:
    index = indexed(record("a", 1), record("b", 2), record("c", 3))
    page, _ = index.page(2, None)
    index.add(record("b", 2, deleted=True))
    assert [entry.id for entry in index.page(2, page[-1])[0]] == ["a"]


def test_changed_records_move_and_deleted_ones_go() -> None:
    index = indexed(record("a", 1), record("b", 2), record("c", 3))
    index.add(record("a", 4))  # begun anew after its upload broke off
    index.add(record("b", 2))
    index.add(record("c", 3, deleted=True))
    index.add(record("never-seen", 9, deleted=True))
    assert listed(index) == ["a", "b"]
    assert len(index) == 2


def test_the_newest_of_a_session() -> None:
    index = indexed(record("a", 1, "x"), record("b", 2, "x"), record("c", 3, "y"))
    found = index.newest_of("x")
    assert found is not None
    assert found.id == "b"
    assert index.newest_of("z") is None
