"""The ScaledObjects that the chart makes of chunkers and transcribers."""

from collections.abc import Mapping

from tests.charts.keda import ScaledObject
from tests.charts.rendering import RELEASE, render


def scaled_objects(given: Mapping[str, object] | None = None) -> Mapping[str, ScaledObject]:
    """By service, with these values over the chart's own."""
    found = render((), given).of("ScaledObject")
    return {
        manifest["spec"]["scaleTargetRef"]["name"].removeprefix(f"{RELEASE}-"): ScaledObject.of(manifest)
        for manifest in found.values()
    }
