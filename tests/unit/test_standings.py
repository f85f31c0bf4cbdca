"""Answers that are kept: until something happens to their job, for their owner only, within a size."""

from collections.abc import Awaitable, Callable

from services.gateway.standings import Standings

Read = Callable[[], Awaitable[tuple[bytes, bool, str]]]


class Job:
    """Answers differently each time that it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> tuple[bytes, bool, str]:
        self.reads += 1
        return str(self.reads).encode(), True, "trace"


async def told(standings: Standings, owner: str, job: str, read: Read) -> bytes:
    found = standings.kept(owner, job) or await standings.anew(owner, job, read)
    assert found.trace == "trace"
    return found.body


async def test_an_answer_is_kept_until_something_happens_to_its_job() -> None:
    standings, job = Standings(), Job()
    assert [await told(standings, "ann", "job", job.read) for _ in range(3)] == [b"1"] * 3
    standings.forget("another")
    assert await told(standings, "ann", "job", job.read) == b"1"
    standings.forget("job")
    assert await told(standings, "ann", "job", job.read) == b"2"
    standings.forget_all()
    assert await told(standings, "ann", "job", job.read) == b"3"


async def test_nobody_else_is_given_it() -> None:
    standings, hers, his = Standings(), Job(), Job()
    await hers.read()
    assert await told(standings, "ann", "job", hers.read) == b"2"
    assert await told(standings, "bob", "job", his.read) == b"1"


async def test_what_changed_while_it_was_read_is_not_kept() -> None:
    standings, job = Standings(), Job()

    async def read() -> tuple[bytes, bool, str]:
        standings.forget("job")
        return await job.read()

    assert await told(standings, "ann", "job", read) == b"1"
    assert await told(standings, "ann", "job", job.read) == b"2"


async def test_the_oldest_make_room() -> None:
    standings, jobs = Standings(most_bytes=2), {name: Job() for name in "abc"}
    for name, job in jobs.items():
        await told(standings, "ann", name, job.read)
    assert await told(standings, "ann", "c", jobs["c"].read) == b"1"
    assert await told(standings, "ann", "a", jobs["a"].read) == b"2"
