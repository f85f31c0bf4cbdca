"""What must hold after any number of kills; each check returns a sentence for every violation."""

import getpass
import itertools
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import psutil

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobRecord
from services.contracts.topology import CONSUMERS, Stream
from tests.api import Event

EMPTY_AT_THE_END = (Stream.UP, Stream.CTL, Stream.CHUNK, Stream.DLQ)
OF_LIBRARIES = {".ses", f"torchinductor_{getpass.getuser()}"}
"""onnxruntime keeps one file of 51 bytes in the temporary folder, torch its cache, whatever they work on."""
SHOWN = 3
"""Violations of one kind that are named one by one."""


def unfinished(jobs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Jobs, as the API tells them by name, that did not end well and whole."""
    return [
        f"{name} is {job['status']}, its upload {job['upload']['state']}: {job['error']}"
        for name, job in jobs.items()
        if job["status"] != "completed" or job["upload"]["state"] != "stored"
    ]


def changed(calm: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Transcripts that differ by a byte from those of a run without faults."""
    return [f"{name} reads otherwise" for name, text in found.items() if text != calm[name]] + [
        f"{name} has no transcript" for name in sorted(calm.keys() - found.keys())
    ]


def misread(name: str, seen: Sequence[Event], stored: Sequence[Event], *, begun_anew: bool) -> list[str]:
    """Events that a reader missed, saw twice, out of order or otherwise than they are stored.

    Where the upload began anew, events of the broken one may stand before those that count.
    """
    ids = [event.id or 0 for event in seen]
    counted = {event.id or 0 for event in stored}
    found = []
    if ids != sorted(set(ids)):
        found.append(f"{name}: a reader saw events twice or out of order: {_disorder(ids)}")
    if [event for event in seen if event.id in counted] != list(stored):
        missed = sorted(id for id in counted if id not in ids)
        found.append(f"{name}: a reader saw {len(seen)} of {len(stored)} events, missing {missed[:SHOWN]}")
    if not begun_anew and len(seen) > len(stored):
        found.append(f"{name}: a reader saw {len(seen)} events where {len(stored)} are stored")
    return found


def _disorder(ids: Sequence[int]) -> list[tuple[int, int]]:
    return [pair for pair in itertools.pairwise(ids) if pair[0] >= pair[1]][:SHOWN]


Gaps = Mapping[str, Sequence[tuple[int, int]]]
"""Chunk and attempt of each gap, by the job's id."""


async def leftovers(bus: Bus, chunks: Mapping[str, int], gaps: Gaps = MappingProxyType({})) -> list[str]:
    """What stands in the streams besides the records and results of these jobs (id: number of chunks)."""
    found = []
    for stream in EMPTY_AT_THE_END:
        subjects = await bus.subjects(stream, ">")
        found += [f"{stream}: {sum(subjects.values())} messages, such as {min(subjects)}"] if subjects else []
    for consumer in CONSUMERS:
        info = await bus.jetstream.consumer_info(consumer.stream, consumer.name)
        if info.num_pending or info.num_ack_pending:
            found.append(f"{consumer.name}: {info.num_pending} pending, {info.num_ack_pending} not acked")
    records = [record async for record in _records(bus)]
    found += [f"record of {one.id} is left" for one in records if one.id not in chunks or one.deleted]
    wanted = {subject for one in records for subject in _results(one, chunks.get(one.id, 0))}
    wanted |= {topology.gap(run_id(one.id, one.run), *gap) for one in records for gap in gaps.get(one.id, ())}
    there = await bus.subjects(Stream.RES, ">")
    found += [f"RES: {subject} is left" for subject in sorted(there.keys() - wanted)[:SHOWN]]
    found += [f"RES: {subject} is missing" for subject in sorted(wanted - there.keys())[:SHOWN]]
    found += [f"RES: {subject} is there {count} times" for subject, count in there.items() if count > 1]
    return found


async def _records(bus: Bus) -> AsyncIterator[JobRecord]:
    after = 0
    while (stored := await bus.next(Stream.JOB, topology.job_record("*", "*"), after)) is not None:
        after = stored.sequence
        yield msgspec.json.decode(stored.data, type=JobRecord)


def _results(record: JobRecord, chunks: int) -> Iterator[str]:
    run = run_id(record.id, record.run)
    for number in range(chunks):
        yield topology.cut(run, number)
        yield topology.text(run, number)
    for attempt in range(record.attempt + 1):
        yield topology.end(run, attempt)


def strays(mark: tuple[str, str], ever: Iterable[int], pids: Iterable[int]) -> list[str]:
    """Processes besides those of `pids` that came from a run: descendants by session or by environment.

    `ever` are the ids of all that were started, each the leader of a session; `mark` is a variable (name,
    value) of their environment.
    """
    known, sessions = set(pids), set(ever)
    return [
        f"process {process.pid} is left: {' '.join(process.cmdline())[:120]}"
        for process in psutil.process_iter()
        if process.pid not in known and _is_from(process, sessions, mark)
    ]


def _is_from(process: psutil.Process, sessions: set[int], mark: tuple[str, str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return os.getsid(process.pid) in sessions or process.environ().get(mark[0]) == mark[1]
    except (psutil.Error, ProcessLookupError, PermissionError):  # it ended, or is another user's
        return False


def gone(pids: Mapping[str, int]) -> list[str]:
    """Processes that ended though nobody killed them."""
    return [f"{name} ended by itself" for name, pid in pids.items() if not _lives(pid)]


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def held_files(pids: Mapping[str, int]) -> list[str]:
    """Files without a name that a process still holds open."""
    return [
        f"{name} holds {target}"
        for name, pid in pids.items()
        for target in _open_files(pid)
        if target.endswith(" (deleted)")
    ]


def _open_files(pid: int) -> list[str]:
    targets = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            targets.append(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return targets


def files_left(folders: Iterable[Path]) -> list[str]:
    """Files and folders in places that must be empty."""
    there = [path for folder in folders for path in sorted(folder.iterdir())]
    return [f"{path} is left" for path in there if path.name not in OF_LIBRARIES]
