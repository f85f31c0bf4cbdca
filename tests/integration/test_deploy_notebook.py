"""The notebook's cells, run in order against AWS's control plane over HTTP."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws_control_plane import ACCOUNT, DIGEST, ControlPlane, account

NOTEBOOK = Path(__file__).parents[2] / "sagemaker/deploy.ipynb"
NAME = "whisper-endpoint"
MAKE_MODEL, DELETE = 2, -1
"""Positions of code cells: 3 and 4 of the text are run twice, for an update."""


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ControlPlane]:
    """An AWS account with one image, and what the notebook is told."""
    (tmp_path / "recording.flac").write_bytes(b"fLaC")
    with account(monkeypatch, tmp_path) as served:
        served.push(NAME)
        monkeypatch.setenv("ROLE_ARN", f"arn:aws:iam::{ACCOUNT}:role/whisper")
        monkeypatch.setenv("RECORDING", str(tmp_path / "recording.flac"))
        monkeypatch.setenv("POLL_SECONDS", "0.01")
        yield served


def notebook() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(NOTEBOOK.read_text())
    return document


def cells() -> list[str]:
    return ["".join(cell["source"]) for cell in notebook()["cells"] if cell["cell_type"] == "code"]


def run(source: str, names: dict[str, Any]) -> None:
    exec(compile(source, str(NOTEBOOK), "exec"), names)  # noqa: S102  # that is what a notebook does


def test_the_cells_lead_from_nothing_to_a_text_and_back(plane: ControlPlane) -> None:
    names: dict[str, Any] = {}
    for source in cells()[:DELETE]:
        run(source, names)
    assert names["result"]["text"] == f"heard by {names['model']}"
    model = plane.sagemaker.models[names["model"]]
    registry = f"{ACCOUNT}.dkr.ecr.{os.environ['AWS_REGION']}.amazonaws.com"
    assert model["PrimaryContainer"]["Image"] == f"{registry}/{NAME}@{DIGEST}"
    assert plane.policies.keys() == {f"{NAME}-load"}
    before = names["config"]
    for source in cells()[MAKE_MODEL : MAKE_MODEL + 2]:
        run(source, names)
    assert plane.sagemaker.endpoints[NAME].running["EndpointConfigName"] == names["config"] != before
    run(cells()[DELETE], names)
    assert plane.sagemaker.endpoints[NAME].status == "Deleting"
    assert not plane.targets


def test_it_is_a_clean_notebook() -> None:
    document = notebook()
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
