"""RESULTS.md: what the fault runs found, a row for each."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.report import machine

PAGE = Path(__file__).parent / "RESULTS.md"
KINDS = ("nats-server", "auth", "gateway", "chunker", "transcriber", "endpoint")
ABOUT = """\
# What the fault runs found

`make chaos` writes this page. In each run recordings of 1 s up to the longest, in every format, are sent to a
whole system on one machine while processes die by `kill -9` at random moments. Then every transcript is
compared, byte for byte, with that of a run in which nothing died; every reader of events, with what is
stored; and the streams, the processes and the temporary folders are searched for what should not be there.

- killed: how often processes of this kind died. There are several of each but nats-server and the endpoint.
- ended, identical: jobs that ended as they should, and transcripts without a difference.
- readers, reconnects: clients that followed a job's events, and how often they came back with the id of the
  last one they had seen. Each saw every event once and in order.
- sent again: uploads that broke off and that the client sent once more.
- leftovers: messages that no stream should hold after a round of the janitor.
- leaks: processes, open files and temporary files that nobody owns any more.
- wrong: everything that was not as it must be, those of the columns before included.

In the rows with a number the endpoint is a stand-in whose text is a digest of the samples it was sent; in
those with "model" it is the real container with the bundled model. "cluster" ran on three servers of NATS,
all of which also died at once, and one of which was frozen for 20 s (SIGSTOP)."""

GAPS_ABOUT = """\
## Three servers of NATS

`python -m tests.chaos.gaps`: every stream has three copies; a message is stored every 20 ms by the gateway's
means and handled by the transcriber's. The longest pause of each around a fault, three times each; `lost` are
messages that were acknowledged to the publisher and never handled, `repeated` came a second time."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the kill matrix."""

    label: str
    kills: dict[str, int]
    """By kind of process."""
    jobs: int
    audio_seconds: float
    ended: int
    identical: int
    readers: int
    reconnects: int
    sent_again: int
    leftovers: int
    leaks: int
    seconds: float
    violations: tuple[str, ...]
    date: str = ""
    """Day of the run: 2026-01-31."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What one fault of a cluster of three cost (seconds, messages from the beginning on)."""

    fault: str
    publish_seconds: float
    consume_seconds: float
    stored: int
    lost: int
    repeated: int


def keep(row: Row, work: Path) -> None:
    """Remember a row beside those of other seeds."""
    dated = msgspec.structs.replace(row, date=datetime.now(UTC).date().isoformat())
    (work / f"row-{row.label.replace(' ', '-')}.json").write_bytes(msgspec.json.encode(dated))


def publish(work: Path) -> str:
    """Write RESULTS.md from all that is remembered; its tables."""
    rows = [msgspec.json.decode(path.read_bytes(), type=Row) for path in work.glob("row-*.json")]
    rows.sort(key=lambda row: (not row.label.isdigit(), len(row.label), row.label))
    tables = "\n".join([*_lines(rows), *_gap_lines(work / "gaps.json")])
    dates = " and ".join(sorted({row.date for row in rows}))
    PAGE.write_text(f"{ABOUT}\n\n{tables}\n\n{dates}, {machine()}.\n")
    return tables


def _lines(rows: Sequence[Row]) -> list[str]:
    heads = ["seed", *(f"{name} killed" for name in KINDS), "all", "jobs", "audio (h)", "ended", "identical"]
    heads += ["readers", "reconnects", "sent again", "leftovers", "leaks", "wrong", "minutes"]
    cells = [heads, ["---"] * len(heads), *(_cells(row) for row in rows)]
    return [f"| {' | '.join(one)} |" for one in cells]


def _cells(row: Row) -> list[str]:
    killed = [row.kills.get(name, 0) for name in KINDS]
    jobs = [row.jobs, f"{row.audio_seconds / 3600:.1f}", row.ended, row.identical]
    read = [row.readers, row.reconnects, row.sent_again]
    found = [row.leftovers, row.leaks, len(row.violations), f"{row.seconds / 60:.1f}"]
    return [row.label, *map(str, [*killed, sum(killed), *jobs, *read, *found])]


def _gap_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    cells = [["fault", "nothing stored (s)", "nothing handled (s)", "stored so far", "lost", "repeated"]]
    cells += [["---"] * len(cells[0])]
    for gap in msgspec.json.decode(path.read_bytes(), type=list[Gap]):
        pauses = [f"{gap.publish_seconds:.1f}", f"{gap.consume_seconds:.1f}"]
        cells.append([gap.fault, *pauses, *map(str, [gap.stored, gap.lost, gap.repeated])])
    return ["", *GAPS_ABOUT.splitlines(), "", *(f"| {' | '.join(one)} |" for one in cells)]
