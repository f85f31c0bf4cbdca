"""Faults in which nothing dies: clients that misbehave, clocks that are wrong, restarts in good order."""

from tests.chaos.table import Section, keep_cells

SECTION = Section(
    name="nuisances",
    title="Clients, clocks and restarts",
    about="""\
`test_bad_clients.py`, `test_clocks.py` and `test_shutdown.py` in `tests/chaos`, at full size; the endpoint is
the stand-in. Everything else goes on beside it and is checked: honest jobs complete, transcripts are those of
a calm run, other readers see every event once.

- uploads that stop half-way: half of the clients drop the connection, the others keep it and send no more.
- a byte a second: after the first half of the recording; more of them than there are slots for long jobs.
- readers that stop reading: each is owed 3 MB of events. They come back with the id of the last one they saw.
- clocks: forth and back by a day, in turn in auth, gateway, chunker and transcriber, while a job runs.
- rolling restart: SIGTERM to each process, the broker included, one of a kind after the other.

MB: what the gateway takes more than before, at most. Left over: messages, processes, files, connections.""",
    heads=("fault", "how many", "what came of it", "MB", "left over"),
)


def keep(
    fault: str, count: int, outcome: str, *, megabytes: float | None = None, left: int | None = None
) -> None:
    """Remember what a fault did."""
    shown = ["" if number is None else f"{number:.0f}" for number in (megabytes, left)]
    keep_cells(SECTION, fault, count, outcome, *shown)
