"""The chart, rendered."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from tests.charts.rendering import Manifests, render

Rendered = Callable[..., Manifests]


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """`rendered(["values-ha.yaml"], {"nats.enabled": False})`; renderings are kept for the session."""
    kept: dict[str, Manifests] = {}

    def get(files: Sequence[str] = (), given: Mapping[str, object] | None = None) -> Manifests:
        key = repr((tuple(files), sorted((given or {}).items())))
        if key not in kept:
            kept[key] = render(files, given)
        return kept[key]

    return get
