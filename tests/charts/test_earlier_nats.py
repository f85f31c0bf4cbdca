"""A StatefulSet that the cluster has already: what it cannot become is refused, with what to do instead."""

import json
import shutil
from pathlib import Path

import helm_python
import pytest

from tests.charts.rendering import CHART, values_of

LOOKUP = 'lookup "apps/v1" "StatefulSet"'
"""It finds nothing without a cluster, so the tests answer in its place."""
TEMPLATE = "templates/_nats.tpl"


@pytest.mark.parametrize(
    ("had", "size", "given", "said"),
    [
        (1, "80Gi", {}, "nats.replicas cannot go from 1 to 3.*docs/nats.md"),
        (3, "80Gi", {"nats.replicas": 1}, "nats.replicas cannot go from 3 to 1.*docs/nats.md"),
        (3, "100Gi", {}, "nats.storage.size cannot go from 100Gi to 80Gi.*docs/nats.md"),
        (3, "80Gi", {"nats.replicas": 5}, None),
        (1, "1Ti", {"nats.replicas": 1, "nats.storage.size": "1024Gi"}, None),
    ],
)
def test_what_it_cannot_become(
    tmp_path: Path, had: int, size: str, given: dict[str, object], said: str | None
) -> None:
    claim = {"spec": {"resources": {"requests": {"storage": size}}}}
    found = {"spec": {"replicas": had, "volumeClaimTemplates": [claim]}}
    chart = shutil.copytree(CHART, tmp_path / "chart")
    text = (chart / TEMPLATE).read_text()
    before, rest = text.split(LOOKUP)
    after = rest[rest.index(" -}}") :]
    (chart / TEMPLATE).write_text(f"{before}fromJson `{json.dumps(found)}`{after}")
    with helm_python.Chart.load(chart) as loaded:
        if said is None:
            loaded.render(values_of((), given), name="whisper-webui", namespace="whisper-webui")
        else:
            with pytest.raises(helm_python.HelmError, match=said):
                loaded.render(values_of((), given), name="whisper-webui", namespace="whisper-webui")
