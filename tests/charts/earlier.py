"""A job in the middle of its work, in the words of the version that wrote tests/golden."""

from pathlib import Path
from typing import Any

import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import job_id, owner_token, run_id
from services.contracts.messages import (
    HEADER,
    ChunkCut,
    ChunkTranscribed,
    EndOfUpload,
    JobRecord,
    JobState,
    StartJob,
    TranscribeChunk,
)
from services.contracts.topology import PART_BYTES, Stream

GOLDEN = Path(__file__).parents[1] / "golden"


def worded(message: msgspec.Struct) -> bytes:
    """The message with those fields only that its golden file has."""
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(message).__name__)
    golden = msgspec.json.decode((GOLDEN / f"{name.strip('_')}.json").read_bytes())
    return msgspec.json.encode(_narrowed(msgspec.to_builtins(message), golden))


def _narrowed(value: Any, golden: Any) -> Any:
    if isinstance(value, dict) and isinstance(golden, dict):
        return {name: _narrowed(value[name], golden[name]) for name in value if name in golden}
    return value


class Midway(msgspec.Struct, frozen=True):
    """What the streams held of a job while its second chunk waited for its text."""

    record: JobRecord
    cuts: list[ChunkCut]
    """The first two."""
    sound: bytes
    """Of the second chunk, as FLAC."""


async def midway(bus: Bus, user: str, job: str) -> Midway | None:
    """Of a job whose second chunk is in the queue; None before and after."""
    owner, run = owner_token(user), run_id(job, 0)
    queued = await bus.next(Stream.CHUNK, topology.chunk("*", owner, run, 1), 0)
    record = await bus.last(Stream.JOB, topology.job_record(owner, job))
    cuts = [await bus.last(Stream.RES, topology.cut(run, number)) for number in range(2)]
    if queued is None or record is None:
        return None
    return Midway(
        msgspec.json.decode(record.data, type=JobRecord),
        [msgspec.json.decode(cut.data, type=ChunkCut) for cut in cuts if cut is not None],
        queued.data,
    )


async def left_behind(bus: Bus, there: Midway, first: ChunkTranscribed, audio: bytes, key: str) -> str:
    """The same job once more under this key, as if its chunker and transcriber had just been stopped.

    The upload is whole, the first chunk has its text, the second waits, and the rest is not cut yet.
    """
    owner = there.record.owner
    job = job_id(there.record.user, key)
    run, lane = run_id(job, 0), there.record.lane
    record = msgspec.structs.replace(
        there.record, id=job, state=JobState.RUNNING, upload_bytes=len(audio), sha256=None
    )
    parts = [audio[start : start + PART_BYTES] for start in range(0, len(audio), PART_BYTES)]
    end = worded(EndOfUpload(bytes=len(audio)))
    queued = TranscribeChunk(
        owner=owner, job=job, run=0, attempt=0, chunk=1, start=there.cuts[1].start, end=there.cuts[1].end
    )
    for number, part in enumerate(parts):
        await bus.create(topology.part(run, number), part)
    await bus.create(topology.part(run, len(parts)), b"", {HEADER: end.decode()})
    await bus.create(topology.job_record(owner, job), worded(record))
    for number, cut in enumerate(there.cuts):
        await bus.create(topology.cut(run, number), worded(cut))
    await bus.create(topology.text(run, 0), worded(first))
    await bus.create(topology.chunk(lane, owner, run, 1), there.sound, {HEADER: worded(queued).decode()})
    command = StartJob(owner=owner, job=job, run=0, attempt=0)
    await bus.create(topology.control(lane, owner, run, 0), worded(command))
    return job
