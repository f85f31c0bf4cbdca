"""RESULTS.md of the fault runs: each part keeps its own rows, and none loses another's."""

from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.table import Section

SLOW = Section(name="slow", title="Slow parts", about="Nothing hurries.", heads=("fault", "jobs"))
FULL = Section(name="full", title="Full disks", about="Nothing fits.", heads=("stream", "lost"))


def test_a_row_replaces_the_one_of_its_name_and_no_other(tmp_path: Path) -> None:
    table.keep_cells(SLOW, "hang", 3, work=tmp_path)
    table.keep_cells(FULL, "UP", 0, work=tmp_path)
    table.keep_cells(SLOW, "cold", 4, work=tmp_path)
    table.keep_cells(SLOW, "hang", 5, work=tmp_path)

    table.publish(tmp_path, tmp_path / "page.md")

    lines = (tmp_path / "page.md").read_text().splitlines()
    assert [line for line in lines if line.startswith(("| hang", "| cold", "| UP"))] == [
        "| UP | 0 |",
        "| hang | 5 |",
        "| cold | 4 |",
    ]
    assert "## Slow parts" in lines


def test_rows_of_columns_that_are_no_more_are_dropped(tmp_path: Path) -> None:
    table.keep_cells(SLOW, "hang", 3, work=tmp_path)
    wider = Section(name="slow", title="Slow parts", about="", heads=("fault", "jobs", "calls"))
    table.keep_cells(wider, "cold", 4, 5, work=tmp_path)
    table.publish(tmp_path, tmp_path / "page.md")
    assert "| hang" not in (tmp_path / "page.md").read_text()


def test_a_row_has_a_cell_for_each_column(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        table.keep_cells(SLOW, "hang", work=tmp_path)
