"""`python -m tests.chaos.matrix`: recordings in every format through random kill -9s, seed after seed.

Each seed starts a whole system, sends all recordings, kills processes meanwhile, and then compares with
a run of the same recordings in which nothing was killed. Writes RESULTS.md; exits 1 for any violation.
"""

import argparse
import asyncio
import contextlib
import functools
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from client.errors import Unavailable
from services.common.bus import connect
from services.contracts.topology import MINIMUM_SERVER
from tests.api import Event
from tests.chaos import checks, corpus, table
from tests.chaos.cast import JANITOR_SECONDS, MARK, USERS, Cast, Casting, cast
from tests.chaos.clients import Client, Reader, Submitter, replayed, submissions, transcript
from tests.chaos.corpus import Recording
from tests.chaos.killer import cluster_blows, schedule, strike
from tests.chaos.table import WORK, Row

CORPUS_SEED = 1
JOBS_A_CLIENT = 5
LEAVES_AFTER = 2
"""Events after which an impatient reader hangs up: fewer than any job has, so that it always comes back."""
SETTLE_SECONDS = 5.0
"""For the last acknowledgements and for children that notice their parent's death."""

Say = Callable[[str], None]
T = TypeVar("T")


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How large a run is."""

    jobs: int = 40
    longest_seconds: float = 1800.0
    spread_seconds: float = 30.0
    """Within which the recordings are sent."""
    kills: int = 48
    kill_seconds: float = 100.0
    """Over which the kills are spread."""
    limit_seconds: float = 900.0
    """A run that takes longer is ended, and what has not ended is counted."""
    casting: Casting = Casting()


FULL = Scale()
MODEL = Scale(jobs=12, longest_seconds=60.0, casting=Casting(model=True))
"""With the real model, which needs a processor for what the stand-in only waits for."""


CLUSTER = Scale(jobs=20, longest_seconds=600.0, casting=Casting(brokers=3))
"""On three servers of NATS, which share this machine's disk and cores."""


class Corpus(msgspec.Struct, frozen=True):
    """The recordings of a scale, with their files."""

    recordings: tuple[Recording, ...]
    paths: Mapping[str, Path]


class Outcome(msgspec.Struct, kw_only=True):
    """What the clients of one run saw."""

    ids: dict[str, str]
    """Job by name of the recording."""
    transcripts: dict[str, bytes]
    readers: list[tuple[str, Reader]]
    stored: dict[str, list[Event]]
    begun_anew: set[str]
    """Recordings that were sent more than once."""
    troubles: list[Unavailable]
    """All that made clients try again."""
    violations: list[str]


def corpus_of(scale: Scale, folder: Path) -> Corpus:
    """Make what is not there yet."""
    recordings = corpus.planned(scale.jobs, scale.longest_seconds, CORPUS_SEED)
    paths = corpus.made(recordings, scale.longest_seconds, CORPUS_SEED, folder)
    return Corpus(recordings, {one.name: path for one, path in zip(recordings, paths, strict=True)})


async def calm(scale: Scale, files: Corpus, folder: Path) -> dict[str, bytes]:
    """Transcripts of a run in which nothing dies, all is there once, and nobody takes any time."""
    casting = Casting(replicas={}, endpoint_seconds=0.0, model=scale.casting.model)
    async with cast(folder, casting) as running:
        at_once = msgspec.structs.replace(scale, spread_seconds=0.0, casting=casting)
        outcome = await performed(running, at_once, files, seed=0)
    if outcome.violations:
        raise AssertionError(f"a run without faults failed: {outcome.violations}")
    return outcome.transcripts


async def storm(
    scale: Scale, files: Corpus, expected: Mapping[str, bytes], folder: Path, *, seed: int, say: Say
) -> Row:
    """One run with kills, and all that is checked after it."""
    started = time.monotonic()
    async with cast(folder, scale.casting) as running:
        names = running.names()
        blows = schedule(seed, names, scale.kills, scale.kill_seconds)
        if scale.casting.brokers > 1:
            blows += cluster_blows(seed, names[: scale.casting.brokers], scale.kill_seconds)
            blows = tuple(sorted(blows, key=lambda blow: blow.at))
        killing = asyncio.create_task(strike(running, blows, say))
        try:
            outcome = await performed(running, scale, files, seed, until=killing)
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        changed = checks.changed(expected, outcome.transcripts)
        left = await left_over(running, outcome)
        lost = await leaked(running)
    return Row(
        label=str(seed),
        kills=dict(running.kills),
        jobs=scale.jobs,
        audio_seconds=sum(one.seconds for one in files.recordings),
        ended=len(outcome.transcripts),
        identical=scale.jobs - len(changed),
        readers=len(outcome.readers),
        reconnects=sum(reader.reconnects for _, reader in outcome.readers),
        sent_again=len(outcome.begun_anew),
        leftovers=len(left),
        leaks=len(lost),
        seconds=time.monotonic() - started,
        violations=(*outcome.violations, *changed, *left, *lost),
    )


async def performed(
    running: Cast, scale: Scale, files: Corpus, seed: int, until: asyncio.Task[Any] | None = None
) -> Outcome:
    """Send and follow everything, until all has ended and `until` is done; then read it all."""
    chance = random.Random(f"clients {seed}")
    violations: list[str] = []
    async with _clients(running, scale, chance) as clients:
        work = {
            one.recording.name: (
                clients[number % len(clients)],
                Submitter(clients[number % len(clients)], one, files.paths[one.recording.name]),
                one,
            )
            for number, one in enumerate(submissions(files.recordings, seed, scale.spread_seconds))
        }
        readers = [(name, Reader(client, one.key)) for name, (client, _, one) in work.items()]
        readers += [
            (name, Reader(client, one.key, leaves_after=LEAVES_AFTER))
            for name, (client, _, one) in list(work.items())[::2]
        ]
        try:
            async with asyncio.timeout(scale.limit_seconds):
                async with asyncio.TaskGroup() as group:
                    for _, submitter, one in work.values():
                        group.create_task(_later(one.at, submitter))
                    for _, reader in readers:
                        group.create_task(reader.run())
                if until is not None:
                    await until
        except TimeoutError:
            violations.append(f"not over after {scale.limit_seconds:.0f} s")
        await running.ready()
        outcome = await _read(work, readers, violations)
        outcome.troubles = [trouble for client in clients for trouble in client.troubles]
        return outcome


@contextlib.asynccontextmanager
async def _clients(running: Cast, scale: Scale, chance: random.Random) -> AsyncIterator[list[Client]]:
    users = list(USERS.items())
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield [
            Client(http, running.stack.urls, users[number % len(users)], chance)
            for number in range(-(-scale.jobs // JOBS_A_CLIENT))
        ]


async def _later(seconds: float, submitter: Submitter) -> None:
    await asyncio.sleep(seconds)
    await submitter.run()


async def _read(
    work: Mapping[str, tuple[Client, Submitter, object]],
    readers: list[tuple[str, Reader]],
    violations: list[str],
) -> Outcome:
    """Look at every accepted job once all is quiet."""
    accepted = {name: (client, one.job) for name, (client, one, _) in work.items() if one.job}
    jobs = {name: await client.json(f"/v1/jobs/{job}") for name, (client, job) in accepted.items()}
    ended = {name: at for name, at in accepted.items() if jobs[name]["status"] == "completed"}
    stored = {name: await replayed(client, job) for name, (client, job) in ended.items()}
    begun_anew = {name for name, (_, submitter, _) in work.items() if submitter.sendings > 1}
    violations += [f"{name} was never accepted" for name in sorted(work.keys() - accepted.keys())]
    violations += checks.unfinished(jobs)
    for name, reader in readers:
        anew = name in begun_anew
        violations += checks.misread(name, reader.seen, stored.get(name, []), begun_anew=anew)
    return Outcome(
        ids={name: job for name, (_, job) in accepted.items()},
        transcripts={name: await transcript(client, job) for name, (client, job) in ended.items()},
        readers=readers,
        stored=stored,
        begun_anew=begun_anew,
        troubles=[],
        violations=violations,
    )


async def left_over(running: Cast, *outcomes: Outcome, audio_seconds: float = 0.0) -> list[str]:
    """What is in the streams after the janitor's next round, once audio was kept for so long."""
    jobs = {outcome.ids[name]: events for outcome in outcomes for name, events in outcome.stored.items()}
    chunks = {job: sum(event.name == "cut" for event in events) for job, events in jobs.items()}
    gaps = {
        job: [(event.data["chunk"], event.data["attempt"]) for event in events if event.name == "gap"]
        for job, events in jobs.items()
    }
    async with connect(running.stack.operator, "operator", MINIMUM_SERVER) as bus:
        return await settled(
            lambda: checks.leftovers(bus, chunks, gaps),
            seconds=audio_seconds + JANITOR_SECONDS + SETTLE_SECONDS,
        )


async def leaked(running: Cast) -> list[str]:
    async def look() -> list[str]:
        pids = running.pids()
        return [
            *checks.gone(pids),
            *checks.strays((MARK, running.mark), running.ever | set(pids.values()), pids.values()),
            *checks.held_files(pids),
            *checks.files_left(running.folders),
        ]

    return await settled(look, seconds=SETTLE_SECONDS)


async def settled(look: Callable[[], Awaitable[list[str]]], *, seconds: float) -> list[str]:
    """What `look` still finds after a while; nothing as soon as it finds nothing."""
    until = time.monotonic() + seconds
    while (found := await look()) and time.monotonic() < until:  # no event to await
        await asyncio.sleep(0.5)
    return found


def main() -> None:
    """Run the seeds that are asked for, and the real model where `--model` is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1-10", help="such as 1-10 or 3,5; empty for none")
    parser.add_argument("--jobs", type=int, default=FULL.jobs)
    parser.add_argument("--kills", type=int, default=FULL.kills)
    parser.add_argument("--longest", type=float, default=FULL.longest_seconds, help="seconds")
    parser.add_argument("--model", action="store_true", help="one more run, with the real model")
    parser.add_argument("--cluster", action="store_true", help="one more run, on three servers of NATS")
    asked = parser.parse_args()
    scale = msgspec.structs.replace(FULL, jobs=asked.jobs, kills=asked.kills, longest_seconds=asked.longest)
    rows = [*_rows(scale, {str(seed): seed for seed in numbers(asked.seeds)})]
    rows += _rows(MODEL, {"model": 1} if asked.model else {})
    rows += _rows(CLUSTER, {"cluster": 1} if asked.cluster else {})
    print(table.publish())
    sys.exit(any(row.violations for row in rows))


def numbers(text: str) -> list[int]:
    """`1-3,7` as numbers."""
    ranges = [part.partition("-") for part in text.split(",") if part]
    return [number for low, _, high in ranges for number in range(int(low), int(high or low) + 1)]


def _rows(scale: Scale, seeds: Mapping[str, int]) -> Iterator[Row]:
    """Run each seed, by its label; say how it goes, and keep its row."""
    if not seeds:
        return
    WORK.mkdir(exist_ok=True)
    files = corpus_of(scale, WORK / f"corpus-{scale.jobs}-{scale.longest_seconds:.0f}")
    print(f"{scale.jobs} recordings, nothing is killed", flush=True)
    expected = asyncio.run(_alone("calm", lambda folder: calm(scale, files, folder)))
    for label, seed in seeds.items():

        def say(sentence: str, label: str = label) -> None:
            print(f"seed {label}: {sentence}", flush=True)

        work = functools.partial(storm, scale, files, expected, seed=seed, say=say)
        row = msgspec.structs.replace(asyncio.run(_alone(label, work)), label=label)
        for violation in row.violations:
            say(violation)
        say(f"{row.seconds:.0f} s, {row.identical} of {row.jobs} identical, {len(row.violations)} wrong")
        table.keep(row)
        yield row


async def _alone(label: str, work: Callable[[Path], Awaitable[T]]) -> T:
    """Give `work` a folder of its own, and what its processes print a file that stays."""
    with (
        tempfile.TemporaryDirectory(dir=WORK, ignore_cleanup_errors=True) as folder,
        (WORK / f"{label}.log").open("w") as output,
        contextlib.redirect_stderr(output),
    ):
        return await work(Path(folder))


if __name__ == "__main__":
    main()
