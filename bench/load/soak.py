"""A day of audio through one machine: what each process holds at its end, against after the first hour.

Recordings of 1 to 60 minutes in several formats, sent by several users; readers that come and go; most jobs
deleted as they end, the rest left to the janitor. The endpoint is a stand-in, so that hours pass in minutes.
Memory is taken between two hours of audio, when nothing runs.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from bench.load.processes import Memory, settled
from bench.report import Figure, Table, at_most, publish
from services.common.logs import configure
from services.dev.local import Stack, StackOptions, local_stack
from services.dev.processes import free_port
from tests.chaos.cast import stand_in_program
from tests.chaos.clients import Client, Reader, Submission, Submitter
from tests.chaos.corpus import Recording
from tests.speech import recording

WORK = Path(__file__).parents[1] / "work"
USERS = {name: f"password of {name}" for name in ("ann", "bob", "cem", "dora")}
LENGTHS = {60: "mp3", 15: "m4a", 4: "opus", 1: "flac"}
"""Minutes of each recording, and its format."""
ONE_LONG = (60,)
MANY_SHORT = (15, 15, 4, 4, 4, 4, 4, 4, 1, 1, 1, 1, 1, 1)
LONG_EVERY = 6
"""Each sixth hour of audio is one recording, the others are many."""
AT_ONCE = 4
MARKS = (1, 6, 12, 18, 24)
ENDPOINT_SECONDS = 0.02
ENDPOINT_CAPACITY = 8
GROWTH = 1.10
QUIET_SECONDS = 270.0
"""More than a round of the janitor, and than two collections of an idle Go (nats-server), which are two
minutes apart: what lies in its pools of buffers outlives the first one."""
SETTINGS = {
    "LOG_LEVEL": "warning",
    "JANITOR_SECONDS": "5",
    "AUDIO_RETENTION_SECONDS": "30",
    "TEXT_RETENTION_SECONDS": "3600",
    "TRANSCRIBER_SLOTS": "8",
}
LEAVES_AFTER = 5
"""Events after which a restless reader hangs up, to come back."""
KEPT_SHARE = 0.25
"""Jobs whose user does not delete them."""


def main() -> None:
    """Run it and write results/load.soak.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=MARKS[-1], help="of audio")
    hours = parser.parse_args().hours
    configure("bench", "warning")
    files = {minutes: _recorded(minutes, fmt) for minutes, fmt in LENGTHS.items()}
    with tempfile.TemporaryDirectory(dir=WORK, ignore_cleanup_errors=True) as folder:
        asyncio.run(_measured(Path(folder), files, hours))


def tell(found: dict[int, dict[str, Memory]], jobs: int, seconds: float) -> None:
    """Publish what is known by now: a run that is ended early has told all but its end."""
    publish(
        "load.soak",
        f"{max(found)} hours of audio in {jobs} recordings of 1 to 60 minutes, by {len(USERS)} users, in "
        f"{seconds / 60:.0f} minutes: memory of each process when nothing runs, against that after the first "
        "hour.",
        figures(found),
        ("aiohttp", "nats-py", "onnxruntime", "psutil"),
        tables=[table(found)],
    )


def figures(found: dict[int, dict[str, Memory]]) -> list[Figure]:
    """The growth of each process from the first mark to the last."""
    first, last = found[min(found)], found[max(found)]
    return [
        at_most(f"{name}: memory at the end over after the first hour", round(grown, 3), GROWTH)
        for name in first
        for grown in [last[name].uss / first[name].uss]
    ]


def table(found: dict[int, dict[str, Memory]]) -> Table:
    """Own memory (USS) and resident memory of each process at each mark."""
    names = list(found[min(found)])
    return Table(
        title="MiB a process holds alone / with what it shares, after so many hours of audio:",
        heads=("process", *(f"{hours} h" for hours in found)),
        rows=tuple(
            (name, *(f"{_mib(one[name].uss)} / {_mib(one[name].rss)}" for one in found.values()))
            for name in names
        ),
    )


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f}"


def _recorded(minutes: int, fmt: str) -> Path:
    WORK.mkdir(exist_ok=True)
    path = WORK / f"soak-{minutes}min.{fmt}"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        recording(unfinished, seconds=minutes * 60, seed=minutes, fmt=fmt)
        unfinished.rename(path)
    return path


async def _measured(folder: Path, files: dict[int, Path], hours: int) -> None:
    found: dict[int, dict[str, Memory]] = {}
    jobs, began = 0, time.monotonic()
    async with _system(folder) as stack, _users(stack) as users:
        for hour in range(1, hours + 1):
            lengths = MANY_SHORT if hour % LONG_EVERY else ONE_LONG
            await _hour(users, [files[minutes] for minutes in lengths], random.Random(hour))
            jobs += len(lengths)
            if hour in MARKS or hour == hours:
                await asyncio.sleep(QUIET_SECONDS)
                found[hour] = await settled(_pids(stack))
            print(f"{time.strftime('%H:%M:%S')} {hour} h of audio, {jobs} jobs", flush=True)
            if hour in found:
                tell(found, jobs, time.monotonic() - began)


async def _hour(users: Sequence[Client], files: Sequence[Path], chance: random.Random) -> None:
    """All of these recordings to their end, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(client: Client, file: Path, seed: int) -> None:
        async with places:
            await _job(client, file, random.Random(seed))

    async with asyncio.TaskGroup() as group:
        for number, file in enumerate(chance.sample(files, len(files))):
            group.create_task(one(users[number % len(users)], file, chance.getrandbits(32)))


async def _job(client: Client, file: Path, chance: random.Random) -> None:
    """One recording, its readers, and mostly its deletion."""
    wanted = Submission(
        recording=Recording(name=file.name, fmt=file.suffix[1:], begin=0.0, seconds=0.0),
        key=str(uuid.uuid4()),
        at=0.0,
        seconds=0.0,
        form=chance.random() < 0.3,
        looks_first=False,
    )
    submitter = Submitter(client, wanted, file)
    async with asyncio.TaskGroup() as group:
        group.create_task(submitter.run())
        group.create_task(Reader(client, wanted.key).run())
        group.create_task(Reader(client, wanted.key, leaves_after=LEAVES_AFTER).run())
    if chance.random() >= KEPT_SHARE:
        async with client.session.request("DELETE", f"/v1/jobs/{submitter.job}"):
            pass


@contextlib.asynccontextmanager
async def _system(folder: Path) -> AsyncIterator[Stack]:
    """The local stack with the stand-in as a process of its own."""
    port = free_port()
    [(username, password), *more_users] = USERS.items()
    options = StackOptions(
        data=folder,
        port=free_port(),
        username=username,
        password=password,
        more_users=dict(more_users),
        environ=SETTINGS,
        runtime_url=f"http://127.0.0.1:{port}",
    )
    async with local_stack(options, lambda _sentence: None) as stack:
        await stack.supervisor.start(stand_in_program(port, ENDPOINT_SECONDS, ENDPOINT_CAPACITY))
        yield stack


@contextlib.asynccontextmanager
async def _users(stack: Stack) -> AsyncIterator[list[Client]]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield [Client(http, (stack.url,), user, random.Random(user[0])) for user in USERS.items()]


def _pids(stack: Stack) -> dict[str, int]:
    assert stack.nats.process is not None
    services = {name: stack.supervisor.pid(name) for name in stack.supervisor.names()}
    return {stack.nats.name: stack.nats.process.pid, **services}


if __name__ == "__main__":
    main()
