"""What a benchmark found: a table beside its targets, a JSON file, and RESULTS.md made of all of those.

`python -m bench.report` writes RESULTS.md anew.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import msgspec

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent / "RESULTS.md"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value; without a target it is for information."""

    name: str
    value: float
    unit: str = ""
    target: str | None = None
    """Such as "<= 3.2"."""
    met: bool | None = None


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """More values than have targets, ready to be read."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one benchmark."""

    name: str
    title: str
    """What is compared with what, in one sentence."""
    command: str
    machine: str
    versions: dict[str, str]
    figures: tuple[Figure, ...]
    date: str
    """Day of the run: 2026-01-31."""
    tables: tuple[Table, ...] = ()
    picture: str = ""
    """Name of a file in results/."""


def at_most(name: str, value: float, limit: float, unit: str = "") -> Figure:
    """A figure whose target is not to exceed `limit`."""
    return Figure(name=name, value=value, unit=unit, target=f"<= {limit:g}", met=value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "") -> Figure:
    """A figure whose target is to reach `limit`."""
    return Figure(name=name, value=value, unit=unit, target=f">= {limit:g}", met=value >= limit)


def publish(
    name: str,
    title: str,
    figures: Sequence[Figure],
    packages: Sequence[str],
    *,
    tables: Sequence[Table] = (),
    picture: str = "",
) -> Report:
    """Print the table, store it as results/`name`.json, write RESULTS.md anew.

    `packages` are the distributions whose versions matter, beside Python and ffmpeg.
    """
    report = Report(
        name=name,
        title=title,
        command=" ".join(["python -m", f"bench.{name}", *sys.argv[1:]]),
        machine=machine(),
        versions=versions(packages),
        figures=tuple(figures),
        date=datetime.now(UTC).date().isoformat(),
        tables=tuple(tables),
        picture=picture,
    )
    RESULTS.mkdir(exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (RESULTS / f"{name}.json").write_bytes(encoded + b"\n")
    print("\n".join(table(report.figures)))
    write_page()
    return report


def write_page() -> None:
    """RESULTS.md from every file in results/."""
    reports = [msgspec.json.decode(path.read_bytes(), type=Report) for path in sorted(RESULTS.glob("*.json"))]
    lines = ["# Benchmark results", "", "Written by `python -m bench.report` from `results/*.json`.", ""]
    for report in reports:
        lines += _section(report)
    PAGE.write_text("\n".join(lines))


def table(figures: Sequence[Figure]) -> list[str]:
    """Lines of a Markdown table with aligned columns."""
    rows = [(f.name, _value(f), f.target or "", _met(f)) for f in figures]
    return _aligned(("figure", "value", "target", "met"), rows)


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return [_row(row, widths) for row in (heads, rule, *rows)]


def machine() -> str:
    """Processor, cores and memory of this machine."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores, {gib:.0f} GiB, {platform.system()}"
    )


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python, ffmpeg and the named distributions."""
    said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    ours = {name: metadata.version(name) for name in packages}
    return {"python": sys.version.split()[0], "ffmpeg": said.split()[2], **ours}


def _section(report: Report) -> list[str]:
    used = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    about = f"`{report.command}`, {report.date}, {report.machine}; {used}."
    lines = [f"## {report.name}", "", report.title, "", *table(report.figures), ""]
    for more in report.tables:
        lines += [more.title, "", *_aligned(more.heads, more.rows), ""]
    if report.picture:
        lines += [f"![{report.name}](results/{report.picture})", ""]
    return [*lines, about, ""]


def _value(figure: Figure) -> str:
    number = f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.3g}"
    return f"{number} {figure.unit}".strip()


def _met(figure: Figure) -> str:
    return {True: "yes", False: "NO", None: ""}[figure.met]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


if __name__ == "__main__":
    write_page()
