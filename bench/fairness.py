"""Whether a short recording waits behind a long one, and one user behind another's queue.

The endpoint is a stand-in that takes a second a chunk, four at once. Each figure is a time over that of the
same recording on the idle system; beside it stands first come, first served: no limit on a user's jobs,
no window, one lane.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import msgspec

from bench.report import Figure, at_least, at_most, publish, table
from bench.stack import PASSWORD, WORK, system
from services.common.logs import configure
from services.dev.stand_in_endpoint import StandIn
from tests.api import Api, logged_in
from tests.speech import recording

CHUNK_SECONDS = 1.0
CAPACITY = 4
ENVIRON = {"TRANSCRIBER_SLOTS": str(CAPACITY), "USER_UPLOADS_PER_MINUTE": "0"}
UNFAIR = {**ENVIRON, "USER_JOBS": "1000", "WINDOW_CHUNKS": "100000"}
"""First come, first served."""
SHORT_SECONDS, LONG_HOURS = 20, 10
REPEATS = 5
OTHERS = tuple(f"user{number}" for number in range(9))
LONG_USERS = ("long1", "long2")
JOBS = 200
LONG_SLOTS = 6
"""Of the one chunker, by default: two users fill them."""
LIMIT = 2.0
WITHIN = 0.3
"""How far a forecast may be off."""
STEADY_SECONDS = 5.0
"""Forecasts are asked for once the first jobs have told a pace."""
BACKLOG_SECONDS = 20.0
"""How long two 10-hour jobs are ahead of a short one that comes after them."""


class Forecast(msgspec.Struct, frozen=True):
    """What was said of a job, and what came true; seconds from then."""

    said: float
    true: float

    @property
    def error(self) -> float:
        """As a share of the truth."""
        return abs(self.said - self.true) / self.true


class Users(msgspec.Struct, frozen=True):
    """Everybody, logged in, by name."""

    apis: dict[str, Api]

    def __getitem__(self, name: str) -> Api:
        return self.apis[name]


def main() -> None:
    """Run all of it and write results/fairness.json; a part alone is printed only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", choices=("forecasts",), help="print this part, and leave the results as they are"
    )
    chosen = parser.parse_args()
    configure("bench", "warning")
    if chosen.only == "forecasts":
        print("\n".join(table(asyncio.run(_forecasts(_short(), _hour())))))
        return
    figures = asyncio.run(_measured(_short(), _hour(), _ten_hours()))
    publish(
        "fairness",
        "A 20-second recording beside 10-hour ones, and nine users beside one who sends 200 jobs: time over "
        "that on the idle system (1 s a chunk, 4 at once)",
        figures,
        ("aiohttp", "nats-py"),
    )


async def _measured(short: Path, hour: Path, ten_hours: Path) -> list[Figure]:
    figures: list[Figure] = []
    async with _users(ENVIRON) as users:
        figures += await _beside_long_jobs(users, short, ten_hours)
        figures += await _long_forecasts(users, hour)
    async with _users(ENVIRON) as users:
        figures += await _beside_a_queue(users, short)
        figures += await _queue_forecasts(users, short)
    async with _users(UNFAIR) as users:
        figures += await _unfair(users, short, ten_hours)
    return figures


async def _forecasts(short: Path, hour: Path) -> list[Figure]:
    """What users learn of their jobs, on a system where nobody else's run."""
    async with _users(ENVIRON) as users:
        return [*await _long_forecasts(users, hour), *await _queue_forecasts(users, short)]


async def _beside_long_jobs(users: Users, short: Path, long: Path) -> list[Figure]:
    idle = await _median(lambda: _took(users["user0"], short))
    jobs = [await _begun(users[name], long) for name in LONG_USERS]
    two = await _median(lambda: _took(users["user0"], short))
    own = await _median(lambda: _took(users[LONG_USERS[0]], short))
    for _ in range(LONG_SLOTS // len(LONG_USERS) - 1):
        jobs += [await _begun(users[name], long) for name in LONG_USERS]
    full = await _median(lambda: _took(users["user0"], short))
    delay = await _median(lambda: _delay(users["user0"], short))
    for name, job in zip(LONG_USERS * len(jobs), jobs, strict=False):
        await _delete(users[name], job)
    return [
        Figure(name="20 s on the idle system", value=round(idle, 2), unit="s"),
        at_most("beside two 10-hour jobs of others", round(two / idle, 2), LIMIT, "x"),
        at_most("beside two 10-hour jobs, one of them its user's own", round(own / idle, 2), LIMIT, "x"),
        at_most("beside 10-hour jobs in every long slot", round(full / idle, 2), LIMIT, "x"),
        Figure(name="until a chunker has taken it then", value=round(delay, 2), unit="s"),
    ]


async def _long_forecasts(users: Users, hour: Path) -> list[Figure]:
    """A 1-hour job alone: what it says at each tenth on its way."""
    api = users["user1"]
    said: dict[int, tuple[float, float]] = {}
    job = await _begun(api, hour)
    async for event in api.events(job):
        if event.name == "job" and event.data["seconds_left"] is not None:
            tenth = event.data["progress"]["percent"] // 10
            said.setdefault(tenth, (time.monotonic(), event.data["seconds_left"]))
    ended = time.monotonic()
    told = [Forecast(left, ended - at) for tenth, (at, left) in said.items() if 1 <= tenth <= 8]
    return _forecast_figures("a 1-hour job on its way", told)


async def _beside_a_queue(users: Users, short: Path) -> list[Figure]:
    nine = [users[name] for name in OTHERS]
    alone = await _median(lambda: _all(_took(api, short) for api in nine))
    bulk = users["admin"]
    jobs = await _queue(bulk, short)
    beside = await _median(lambda: _all(_took(api, short) for api in nine))
    await asyncio.gather(*(_delete(bulk, job) for job in jobs))
    return [
        Figure(name="nine users' 20 s at once, the slowest, alone", value=round(alone, 2), unit="s"),
        at_most(f"beside one who sends {JOBS} jobs", round(beside / alone, 2), LIMIT, "x"),
    ]


async def _queue_forecasts(users: Users, short: Path) -> list[Figure]:
    """Jobs that wait in a queue, asked once, and when they ended."""
    bulk = users["admin"]
    jobs = await _queue(bulk, short)
    await asyncio.sleep(STEADY_SECONDS)
    said: dict[str, tuple[float, float]] = {}
    for job in jobs[::15]:
        shown = await bulk.job(job)
        if shown["status"] == "queued":
            said[job] = (time.monotonic(), shown["seconds_left"])
    ends = await _ends(bulk, said)
    told = [Forecast(left, at - asked) for (asked, left), at in zip(said.values(), ends, strict=True)]
    return _forecast_figures(f"jobs that wait among {JOBS}", told)


async def _queue(api: Api, short: Path) -> list[str]:
    return list(await asyncio.gather(*(_begun(api, short) for _ in range(JOBS))))


async def _unfair(users: Users, short: Path, long: Path) -> list[Figure]:
    """The same, first come, first served; the short one's length is not announced, so it has no lane."""
    idle = await _median(lambda: _took(users["user0"], short, announced=False))
    nine = [users[name] for name in OTHERS]
    alone = await _median(lambda: _all(_took(api, short) for api in nine))
    bulk = users["admin"]
    jobs = await _queue(bulk, short)
    beside = await _all(_took(api, short) for api in nine)
    await asyncio.gather(*(_delete(bulk, job) for job in jobs))
    for name in LONG_USERS:
        await _begun(users[name], long)
    await asyncio.sleep(BACKLOG_SECONDS)
    two = await _took(users["user0"], short, announced=False)
    return [
        Figure(
            name="first come, first served: beside two 10-hour jobs", value=round(two / idle, 1), unit="x"
        ),
        Figure(
            name=f"first come, first served: beside {JOBS} jobs", value=round(beside / alone, 1), unit="x"
        ),
    ]


def _forecast_figures(what: str, told: list[Forecast]) -> list[Figure]:
    errors = sorted(one.error for one in told)
    right = sum(error <= WITHIN for error in errors) / len(errors)
    return [
        at_least(f"forecasts within 30 %: {what} ({len(told)})", round(100 * right, 1), 100, "%"),
        Figure(name=f"the worst of them is off by: {what}", value=round(100 * errors[-1], 1), unit="%"),
    ]


async def _took(api: Api, path: Path, *, announced: bool = True) -> float:
    """Seconds from sending a recording to its end."""
    started = time.monotonic()
    job = await _begun(api, path, announced=announced)
    await api.finished(job, seconds=900)
    return time.monotonic() - started


async def _delay(api: Api, path: Path) -> float:
    """Seconds from sending a recording until a chunker has taken it."""
    started = time.monotonic()
    job = await _begun(api, path)
    async for event in api.events(job):
        if event.data.get("status") not in (None, "queued"):
            return time.monotonic() - started
    raise AssertionError("it never ran")


async def _begun(api: Api, path: Path, *, announced: bool = True) -> str:
    """Send a recording; its job."""
    if announced:
        status, job = await api.submit(path)
        assert status == 201, job
        return str(job["id"])

    content = await asyncio.to_thread(path.read_bytes)

    async def body() -> AsyncIterator[bytes]:
        yield content

    headers = {"Content-Type": "audio/mpeg"}
    async with api.session.post("/v1/jobs?name=short.mp3", data=body(), headers=headers) as answer:
        return str((await answer.json())["id"])


async def _ends(api: Api, jobs: Iterable[str]) -> list[float]:
    async def end(job: str) -> float:
        await api.finished(job, seconds=900)
        return time.monotonic()

    return list(await asyncio.gather(*(end(job) for job in jobs)))


async def _delete(api: Api, job: str) -> None:
    async with api.session.delete(f"/v1/jobs/{job}") as answer:
        assert answer.status in (204, 404)


async def _all(times: Iterable[Awaitable[float]]) -> float:
    """The slowest."""
    return max(await asyncio.gather(*times))


async def _median(measure: Callable[[], Awaitable[float]]) -> float:
    return statistics.median([await measure() for _ in range(REPEATS)])


@contextlib.asynccontextmanager
async def _users(environ: dict[str, str]) -> AsyncIterator[Users]:
    endpoint = StandIn(seconds=CHUNK_SECONDS, capacity=CAPACITY)
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(system(endpoint, environ, (*OTHERS, *LONG_USERS)))
        apis = {
            name: await stack.enter_async_context(logged_in(running.url, name, PASSWORD))
            for name in ("admin", *OTHERS, *LONG_USERS)
        }
        yield Users(apis)


def _short() -> Path:
    return _made(WORK / "fairness-short.mp3", lambda path: recording(path, seconds=SHORT_SECONDS, fmt="mp3"))


def _hour() -> Path:
    return _repeated(WORK / "fairness-hour.mp3", 6)


def _ten_hours() -> Path:
    return _repeated(WORK / "fairness-ten-hours.mp3", LONG_HOURS * 6)


def _repeated(path: Path, times: int) -> Path:
    """Ten minutes of speech again and again: made in seconds, and as much work."""
    ten = _made(WORK / "fairness-ten-minutes.mp3", lambda made: recording(made, seconds=600, fmt="mp3"))
    command = (
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-stream_loop",
        str(times - 1),
        "-i",
        ten,
        "-c",
        "copy",
        "-f",
        "mp3",
    )
    return _made(path, lambda made: subprocess.run([*command, made], check=True))


def _made(path: Path, make: Callable[[Path], object]) -> Path:
    WORK.mkdir(exist_ok=True)
    if not path.exists():
        unfinished = path.with_suffix(".part")
        make(unfinished)
        unfinished.rename(path)
    return path


if __name__ == "__main__":
    main()
