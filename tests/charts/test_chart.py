"""The chart as a whole: it renders, lints, and gives what Kubernetes takes."""

import helm_python
import pytest

from tests.charts.conftest import Rendered
from tests.charts.rendering import CHART, PRESETS, values_of


@pytest.mark.parametrize("files", [(), *((preset,) for preset in PRESETS)], ids=" ".join)
def test_the_strict_linter_finds_nothing(files: tuple[str, ...]) -> None:
    report = helm_python.chart.lint(CHART, values_of(files), strict=True)
    assert report["errors"] == []


def test_the_notes_name_the_release(rendered: Rendered) -> None:
    notes = rendered().texts["whisper-webui/templates/NOTES.txt"]
    assert "release whisper-webui in namespace speech" in notes
