"""The ways to install the chart that tests look at: every preset, alone and as presets are combined."""

from tests.charts.rendering import PRESETS

EVERYTHING: dict[str, object] = {
    "loadBalancer.enabled": True,
    "loadBalancer.certificateArn": "arn:aws-cn:acm:cn-northwest-1:111122223333:certificate/00000000-0000",
    "publicUrl": "https://whisper.example.com",
    "tests.credentialsSecret": "whisper-test",
    "monitoring.serviceMonitor.enabled": True,
    "monitoring.rules.enabled": True,
    "monitoring.dashboards.enabled": True,
}
"""Whatever is off by default, as far as it goes together."""
INGRESS: dict[str, object] = {"ingress.enabled": True, "publicUrl": "https://whisper.example.com"}
COMBINATIONS: tuple[tuple[str, ...], ...] = (
    (),
    *((preset,) for preset in PRESETS),
    ("values-small.yaml", "values-china.yaml"),
    ("values-ha.yaml", "values-spot.yaml", "values-china.yaml"),
)
"""Files for `helm install -f`, in their order."""


def name(files: tuple[str, ...]) -> str:
    """How a test calls a combination."""
    return "+".join(file.removeprefix("values-").removesuffix(".yaml") for file in files) or "default"
