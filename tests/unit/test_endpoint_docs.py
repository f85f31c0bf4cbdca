"""What docs/endpoint.md promises to list."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_metric_is_documented() -> None:
    code = "".join(path.read_text() for path in (ROOT / "sagemaker/endpoint").rglob("*.py"))
    described = (ROOT / "docs/endpoint.md").read_text()
    metrics = set(re.findall(r'"(whisper_endpoint_\w+)"', code))
    assert metrics
    assert metrics == set(re.findall(r"`(whisper_endpoint_\w+)`", described))
