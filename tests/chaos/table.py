"""RESULTS.md: what the fault runs found, from the files that each of them keeps in work/.

Those files belong to the repository, so that a run of one part loses nothing of the others:
`row-*.json` of the kill matrix, `gaps.json`, and a `section-*.json` of each other kind of fault.
`python -m tests.chaos.table` writes the page anew.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.report import machine

PAGE = Path(__file__).parent / "RESULTS.md"
WORK = Path(__file__).parent / "work"
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


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a section."""

    cells: tuple[str, ...]
    """The first names the row."""
    date: str


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of fault was found to do."""

    name: str
    """Of its file."""
    title: str
    about: str
    """How it is run, what the columns are."""
    heads: tuple[str, ...]
    rows: tuple[Kept, ...] = ()


def keep(row: Row, work: Path = WORK) -> None:
    """Remember a row beside those of other seeds."""
    dated = msgspec.structs.replace(row, date=_today())
    _store(work / f"row-{row.label.replace(' ', '-')}.json", dated)


def keep_gaps(gaps: Sequence[Gap], work: Path = WORK) -> None:
    """Remember what a cluster's faults cost, instead of what they cost before."""
    _store(work / "gaps.json", gaps)


def keep_cells(section: Section, *cells: object, work: Path = WORK) -> None:
    """Remember a row of a section, instead of the one that begins with the same cell."""
    assert len(cells) == len(section.heads), f"{section.name}: {cells} are not {section.heads}"
    path = work / f"section-{section.name}.json"
    kept = msgspec.json.decode(path.read_bytes(), type=Section).rows if path.exists() else ()
    added = Kept(cells=tuple(map(str, cells)), date=_today())
    rows = {row.cells[0]: row for row in (*kept, added) if len(row.cells) == len(section.heads)}
    _store(path, msgspec.structs.replace(section, rows=tuple(rows.values())))


def publish(work: Path = WORK, page: Path = PAGE) -> str:
    """Write RESULTS.md from all that is remembered; its tables."""
    rows = [msgspec.json.decode(path.read_bytes(), type=Row) for path in work.glob("row-*.json")]
    rows.sort(key=lambda row: (not row.label.isdigit(), len(row.label), row.label))
    files = sorted(work.glob("section-*.json"))
    sections = [msgspec.json.decode(path.read_bytes(), type=Section) for path in files]
    lines = [*_lines(rows), "", *_days([row.date for row in rows]), *_gap_lines(work / "gaps.json")]
    lines += [line for section in sections for line in _section_lines(section)]
    tables = "\n".join(lines)
    page.write_text(f"{ABOUT}\n\n{tables}\n{machine()}.\n")
    return tables


def _store(path: Path, kept: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _days(dates: Sequence[str]) -> list[str]:
    return [f"{' and '.join(sorted(set(dates)))}.", ""] if dates else []


def _lines(rows: Sequence[Row]) -> list[str]:
    heads = ["seed", *(f"{name} killed" for name in KINDS), "all", "jobs", "audio (h)", "ended", "identical"]
    heads += ["readers", "reconnects", "sent again", "leftovers", "leaks", "wrong", "minutes"]
    return _table(heads, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    killed = [row.kills.get(name, 0) for name in KINDS]
    jobs = [row.jobs, f"{row.audio_seconds / 3600:.1f}", row.ended, row.identical]
    read = [row.readers, row.reconnects, row.sent_again]
    found = [row.leftovers, row.leaks, len(row.violations), f"{row.seconds / 60:.1f}"]
    return [row.label, *map(str, [*killed, sum(killed), *jobs, *read, *found])]


def _gap_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    heads = ["fault", "nothing stored (s)", "nothing handled (s)", "stored so far", "lost", "repeated"]
    rows = []
    for gap in msgspec.json.decode(path.read_bytes(), type=list[Gap]):
        pauses = [f"{gap.publish_seconds:.1f}", f"{gap.consume_seconds:.1f}"]
        rows.append([gap.fault, *pauses, *map(str, [gap.stored, gap.lost, gap.repeated])])
    return [*GAPS_ABOUT.splitlines(), "", *_table(heads, rows), ""]


def _section_lines(section: Section) -> list[str]:
    rows = [row.cells for row in section.rows]
    lines = [f"## {section.title}", "", *section.about.splitlines(), "", *_table(section.heads, rows), ""]
    return lines + _days([row.date for row in section.rows])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(one)} |" for one in (heads, ["---"] * len(heads), *rows)]


if __name__ == "__main__":
    publish()
