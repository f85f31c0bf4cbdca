"""The chart as Helm renders it: presets merged like `helm -f`, single values like `--set`."""

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "charts/whisper-webui"
PRESETS = tuple(sorted(path.name for path in CHART.glob("values-*.yaml") if "official" not in path.name))
RELEASE, NAMESPACE = "whisper-webui", "speech"

Object = dict[str, Any]
"""One Kubernetes object."""


class Manifests:
    """What one rendering gave: its `texts` by template, NOTES.txt among them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    @functools.cached_property
    def objects(self) -> list[Object]:
        """Every Kubernetes object, hooks included."""
        return [
            document
            for name, text in self.texts.items()
            if name.endswith(".yaml")
            for document in yaml.load_all(text, yaml.CSafeLoader)
            if document
        ]

    def of(self, kind: str) -> dict[str, Object]:
        """The objects of a kind, by name."""
        return {found["metadata"]["name"]: found for found in self.objects if found["kind"] == kind}

    def pod(self, name: str) -> Object:
        """The pod's specification of the workload with this name."""
        [found] = [
            found
            for found in self.objects
            if found["metadata"]["name"] == name and "template" in found.get("spec", {})
        ]
        spec: Object = found["spec"]["template"]["spec"]
        return spec


def values_of(files: Sequence[str | Path] = (), given: Mapping[str, object] | None = None) -> Object:
    """What Helm merges over the chart's own values; keys of `given` are paths such as `nats.enabled`."""
    values: Object = {}
    for file in files:
        _merge(values, yaml.safe_load((CHART / file).read_text()) or {})
    for path, value in (given or {}).items():
        nested: object = copy.deepcopy(value)
        for key in reversed(path.split(".")):
            nested = {key: nested}
        assert isinstance(nested, dict)
        _merge(values, nested)
    return values


def render(
    files: Sequence[str | Path] = (),
    given: Mapping[str, object] | None = None,
    *,
    name: str = RELEASE,
    upgrade: bool = False,
) -> Manifests:
    """Render the chart; raises `helm_python.HelmError` with Helm's own words."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(
            values_of(files, given),
            name=name,
            namespace=NAMESPACE,
            is_install=not upgrade,
            is_upgrade=upgrade,
        )
    return Manifests(texts)


def _merge(into: Object, more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
