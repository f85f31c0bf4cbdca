"""Real speech in every container format, from upload to transcript, with the bundled model."""

from pathlib import Path

import pytest

from tests.api import Api
from tests.speech import FORMATS, recording, word_error_rate

SECONDS = 25.0
"""A chunk or two: that no format changes where long ones are cut, `test_chunks.py` proves."""
WORD_ERRORS = 0.15
"""The bundled model makes 5-6 % on such speech."""


@pytest.mark.parametrize("fmt", FORMATS)
async def test_every_format_becomes_its_text(api: Api, tmp_path: Path, fmt: str) -> None:
    path = tmp_path / f"talk.{fmt.partition('_')[0]}"
    reference = recording(path, seconds=SECONDS, seed=21, fmt=fmt)

    status, job = await api.submit(path)
    events = await api.finished(job["id"])

    assert status == 201
    assert events[-1].data["status"] == "completed"
    assert word_error_rate(reference, await api.text(job["id"])) <= WORD_ERRORS


async def test_minutes_become_their_text_in_order(api: Api, tmp_path: Path) -> None:
    """More chunks than may wait for their text at once."""
    path = tmp_path / "long.mp3"
    reference = recording(path, seconds=300, seed=5)

    _, job = await api.submit(path, language="en")
    events = await api.finished(job["id"], seconds=170)
    _, transcript = await api.get(f"/v1/jobs/{job['id']}/transcript", format="json")

    ids = [event.id for event in events if event.id is not None]
    assert ids == sorted(set(ids))
    cuts = [event.data["chunk"] for event in events if event.name == "cut"]
    texts = [event.data["chunk"] for event in events if event.name == "text"]
    assert cuts == list(range(len(cuts)))
    assert sorted(texts) == cuts
    starts = [segment["start"] for segment in transcript["segments"]]
    assert starts == sorted(starts)
    assert transcript["gaps"] == []
    assert word_error_rate(reference, transcript["text"]) <= WORD_ERRORS
