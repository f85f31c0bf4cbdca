"""Hostile files through a whole system, honest recordings beside them, and what must hold afterwards."""

import asyncio
import contextlib
import io
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from services.chunker.child import MIB
from services.common.bus import connect
from services.contracts.topology import MINIMUM_SERVER
from services.dev.processes import free_port
from services.dev.stand_in_endpoint import StandIn, stand_in
from tests.api import Api, logged_in
from tests.chaos import checks
from tests.chaos.cast import JANITOR_SECONDS, MARK, USERS, Cast, Casting, cast
from tests.chaos.matrix import settled
from tests.decoder import limits
from tests.fuzz.watch import Meter, Taken, tracer, trespasses

AT_ONCE = 10
"""Hostile files under way at the same time."""
DEADLINE_SECONDS = 300.0
"""For one file on a machine with other work to do."""
HONEST_EACH = 10
"""One honest recording goes in for so many hostile ones."""
SETTLE_SECONDS = JANITOR_SECONDS + 15
RAW = re.compile(r"ffmpeg|0x[0-9a-f]{4}|Invalid data|\[\w+ @|/tmp|/usr|Traceback|Error")
"""Words of programs, which a user's sentence never has."""
SENTENCE = re.compile(r"[A-Z].{30,400}[.]", re.DOTALL)
HOSPITABLE = {
    "USER_MAX_JOBS": "0",
    "USER_UPLOADS_PER_MINUTE": "0",
    "USER_AUDIO_HOURS": "0",
    "USER_JOBS": str(AT_ONCE),
    "CHUNKER_SLOTS": str(AT_ONCE),
}
"""Settings that keep no file waiting."""


class HostileFile(msgspec.Struct, frozen=True):
    """One file, and the row of the table that it counts for."""

    kind: str
    name: str
    data: bytes


class Tally(msgspec.Struct, kw_only=True):
    """What became of the files of one kind."""

    files: int = 0
    transcripts: int = 0
    notices: Counter[str] = msgspec.field(default_factory=Counter)
    """Transcripts that say what is wrong with the file, by code."""
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    slowest_seconds: float = 0.0
    memory_mib: float = 0.0
    cpu_seconds: float = 0.0


class Outcome(msgspec.Struct, kw_only=True):
    """Everything that was found."""

    kinds: dict[str, Tally] = msgspec.field(default_factory=dict)
    honest: int = 0
    identical: int = 0
    calls: int = 0
    """Of decoders, to open something, that were traced."""
    violations: list[str] = msgspec.field(default_factory=list)
    chunks: dict[str, int] = msgspec.field(default_factory=dict)
    """By id of the job."""


class Honest:
    """A recording that is sent again and again, and the text that it must have every time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.expected: dict[str, Any] = {}

    async def send(self, api: Api, outcome: Outcome) -> None:
        """Send it once and compare."""
        status, job = await api.submit(self.path)
        if status != 201:
            outcome.violations.append(f"an honest recording was refused: {status} {job}")
            return
        events = await api.finished(job["id"], DEADLINE_SECONDS)
        outcome.chunks[job["id"]] = sum(event.name == "cut" for event in events)
        _, transcript = await api.get(f"/v1/jobs/{job['id']}/transcript", format="json")
        del transcript["id"]
        self.expected = self.expected or transcript
        same = transcript == self.expected and (await api.job(job["id"]))["status"] == "completed"
        outcome.honest += 1
        outcome.identical += same
        if not same:
            outcome.violations.append(f"an honest recording reads otherwise: job {job['id']}")


async def campaign(
    batches: Iterable[Sequence[HostileFile]],
    honest: Path,
    folder: Path,
    *,
    visits: Sequence[str],
    say: Any = print,
) -> Outcome:
    """Send all files, batch by batch, each of one kind; `visits` are those to the canary so far."""
    outcome = Outcome()
    trace = folder / "trace"
    folder.mkdir(parents=True, exist_ok=True)
    async with stand_in(StandIn(seconds=0.0, capacity=8), free_port()) as runtime:
        casting = Casting(replicas={}, environ=HOSPITABLE, under={"chunker": tracer(trace)})
        async with cast(folder / "system", casting, runtime_url=runtime) as running:
            await _sent(running, batches, Honest(honest), outcome, say)
            outcome.violations += await left_over(running, outcome)
    with trace.open(errors="replace") as lines:
        outcome.calls, found = await asyncio.to_thread(trespasses, lines)
    outcome.violations += found
    outcome.violations += [f"the canary was visited: {visit}" for visit in visits]
    return outcome


async def _sent(
    running: Cast, batches: Iterable[Sequence[HostileFile]], honest: Honest, outcome: Outcome, say: Any
) -> None:
    meter = Meter(running.pids()["chunker"])
    async with meter.running():
        for batch in batches:
            kind = batch[0].kind
            meter.reset()
            async with _users(running) as (attacker, user):  # a token lasts 15 minutes
                await _batch(batch, attacker, user, honest, outcome)
            outcome.violations += _count(kind, outcome.kinds[kind], meter.reset())
            say(f"{kind}: {outcome.kinds[kind].files} files, {len(outcome.violations)} wrong so far")


def _count(kind: str, tally: Tally, taken: Taken) -> list[str]:
    """Note what a batch's decoders took, and say where that is too much."""
    tally.memory_mib = max(tally.memory_mib, taken.memory_mib)
    tally.cpu_seconds = max(tally.cpu_seconds, taken.cpu_seconds)
    found = []
    if taken.memory_mib * MIB > limits().memory_bytes:
        found.append(f"{kind}: a decoder took {taken.memory_mib:.0f} MiB")
    if taken.cpu_seconds > limits().cpu_seconds:
        found.append(f"{kind}: a decoder took {taken.cpu_seconds:.0f} s of processor time")
    return found


@contextlib.asynccontextmanager
async def _users(running: Cast) -> AsyncIterator[tuple[Api, Api]]:
    (attacker, attackers_word), (user, users_word) = USERS.items()
    url = running.stack.url
    async with logged_in(url, attacker, attackers_word) as one, logged_in(url, user, users_word) as other:
        yield one, other


async def _batch(
    batch: Sequence[HostileFile], attacker: Api, user: Api, honest: Honest, outcome: Outcome
) -> None:
    tally = outcome.kinds.setdefault(batch[0].kind, Tally())
    waiting = iter(batch)

    async def attack() -> None:
        for file in waiting:
            outcome.violations += await _attacked(attacker, file, tally, outcome.chunks)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(attack())
        group.create_task(_beside(len(batch) // HONEST_EACH + 1, user, honest, outcome))


async def _beside(count: int, user: Api, honest: Honest, outcome: Outcome) -> None:
    for _ in range(count):
        await honest.send(user, outcome)


async def _attacked(api: Api, file: HostileFile, tally: Tally, chunks: dict[str, int]) -> list[str]:
    """Send one file and note its end; what is wrong with that."""
    begun = time.monotonic()
    try:
        problem, found = await _ended(api, file.data, chunks)
    except (TimeoutError, aiohttp.ClientError, AssertionError) as error:
        return [f"{file.name}: {type(error).__name__} {error} after {time.monotonic() - begun:.0f} s"]
    tally.files += 1
    tally.slowest_seconds = max(tally.slowest_seconds, time.monotonic() - begun)
    if problem is None:
        tally.transcripts += 1
    elif found == "notice":
        tally.notices[problem["code"]] += 1
    else:
        tally.errors[problem["code"]] += 1
    return [f"{file.name}: {sentence}" for sentence in _unclear(problem)]


async def _ended(api: Api, data: bytes, chunks: dict[str, int]) -> tuple[dict[str, Any] | None, str]:
    """The error or notice that a file's job ended with, and which of them it is."""
    headers = {"Content-Type": "audio/mpeg"}
    async with api.session.post("/v1/jobs", data=io.BytesIO(data), headers=headers) as answer:
        body = await answer.json()
        assert answer.status in (201, 400), f"the upload was answered {answer.status} {body}"
        if answer.status == 400:
            return body["error"], "error"
    events = await api.finished(body["id"], DEADLINE_SECONDS)
    chunks[body["id"]] = sum(event.name == "cut" for event in events)
    job = await api.job(body["id"])
    if job["status"] == "failed":
        return job["error"], "error"
    assert job["status"] == "completed", f"ended as {job['status']}"
    _, transcript = await api.get(f"/v1/jobs/{body['id']}/transcript", format="json")
    assert not transcript["gaps"], f"has gaps: {transcript['gaps']}"
    return job["notice"], "notice"


def _unclear(problem: Mapping[str, Any] | None) -> Iterator[str]:
    """What a user would not understand of an error."""
    if problem is None:
        return
    message = problem["message"]
    if not re.fullmatch(r"[a-z][a-z_]+", problem["code"]):
        yield f"code {problem['code']!r}"
    if RAW.search(message) or not SENTENCE.fullmatch(message):
        yield f"{problem['code']} is told as {message!r}"


async def left_over(running: Cast, outcome: Outcome) -> list[str]:
    """Messages, processes, open and temporary files that should be gone."""
    async with connect(running.stack.operator, "operator", MINIMUM_SERVER) as bus:
        messages = await settled(lambda: checks.leftovers(bus, outcome.chunks), seconds=SETTLE_SECONDS)
    return messages + await settled(lambda: _leaked(running), seconds=SETTLE_SECONDS)


async def _leaked(running: Cast) -> list[str]:
    pids = running.pids()
    strays = checks.strays((MARK, running.mark), set(pids.values()), pids.values())
    return [
        *checks.gone(pids),
        *(stray for stray in strays if ": strace " not in stray),
        *checks.held_files(pids),
        *checks.files_left(running.folders),
    ]
