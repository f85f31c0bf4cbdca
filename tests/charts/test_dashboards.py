"""Dashboards: as Grafana's own model has them, with expressions that Prometheus can read, and up to date."""

import json
import re
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.charts.boards import BOARDS, COLUMNS, FOLDER, WIDTH, Board, shown

UNITS = {"ops", "reqps", "s", "h", "short", "bytes", "Bps", "percentunit"}


def panels(board: Board) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shown(board))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_file_is_what_the_table_says(board: Board) -> None:
    written = (FOLDER / f"{board.uid.removeprefix('whisper-')}.json").read_text()
    assert written == shown(board), "run `python -m tests.charts.boards`"


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {
        board.uid.removeprefix("whisper-") for board in BOARDS
    }


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_grafana_knows_every_key(board: Board) -> None:
    """Its model forgets what it does not know, so that a misspelt key is missing after a round trip."""
    document = json.loads(shown(board))
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(document)))
    assert lost(document, again) == []


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """What of ours is not, or differs, in theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [found for key in ours for found in lost(ours[key], theirs.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [found for number, (one, other) in pairs for found in lost(one, other, f"{path}[{number}]")]
    return [] if ours == theirs or (not ours and not theirs) else [f"{path}: {ours!r} became {theirs!r}"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_expressions_are_promql(board: Board) -> None:
    for panel in panels(board):
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m")
            try:
                promql_parser.parse(expression)
            except ValueError as error:
                pytest.fail(f"{panel['title']}: {expression}: {error}")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_say_what_they_show_and_lie_beside_each_other(board: Board) -> None:
    places = set()
    for panel in panels(board):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH * COLUMNS
        assert (place["x"], place["y"]) not in places
        places.add((place["x"], place["y"]))
        for target in panel["targets"]:
            labels = re.findall(r"{{(\w+)}}", target["legendFormat"])
            assert all(label in target["expr"] or label == "instance" for label in labels), target
