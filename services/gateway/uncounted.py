"""What a job used whose results are erased before its end: counted by whoever erases them."""

import msgspec

from services.common.bus import Bus
from services.contracts import topology
from services.contracts.identifiers import run_id
from services.contracts.messages import JobEvent, JobRecord
from services.contracts.topology import Stream
from services.contracts.usage import Tally


async def count_use(bus: Bus, record: JobRecord, number: int) -> None:
    """Store what this run of the job used since its last end; at each end the chunker does so.

    What is at the endpoint at that moment, a few chunks at the most, is not counted.
    """
    run = run_id(record.id, number)
    subjects = await bus.subjects(Stream.RES, topology.results(run))
    attempt = record.attempt if number == record.run else 0
    if not subjects or topology.end(run, attempt) in subjects:
        return
    tally, after = Tally(), 0
    while (stored := await bus.next(Stream.RES, topology.results(run), after)) is not None:
        after = stored.sequence
        tally.add(msgspec.json.decode(stored.data, type=JobEvent))
    facts = tally.facts(record.user, record.owner, record.id, number, attempt)
    for subject, fact in facts.items():
        await bus.create(subject, msgspec.json.encode(fact))
