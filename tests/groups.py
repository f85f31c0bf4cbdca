"""Which tests run in one process, one after the other: those of a file, and all that share a slow starter."""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARED = {
    "stack": (
        "tests/e2e/",
        "tests/clients/",
        "tests/charts/test_helm_test.py",
        "tests/charts/test_metrics_exist.py",
    ),
    "container": (
        "tests/integration/test_endpoint.py",
        "tests/integration/test_endpoint_contracts.py",
        "tests/integration/test_endpoint_stop.py",
    ),
    "aws": ("tests/charts/test_aws_", "tests/charts/test_images_script.py"),
}
"""What is begun once in a run, and the files that use it, by how their paths begin."""
LONG = (
    "stack",
    "aws",
    "tests/charts/test_rolling_upgrade.py",
    "tests/charts/test_autoscaling.py",
    "tests/charts/test_nats_running.py",
)
"""Groups that begin first, lest one worker is still at one of them when the others have nothing left."""


def file_of(nodeid: str) -> str:
    """The file of a test."""
    return nodeid.partition("::")[0]


def group_of(file: str) -> str:
    """The name of what a file shares with others, else its own."""
    return next((name for name, places in SHARED.items() if file.startswith(places)), file)


def place_of(file: str) -> int:
    """When its group begins: the lowest first."""
    group = group_of(file)
    return LONG.index(group) if group in LONG else len(LONG)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each group to one worker. xdist 3.8 has groups of its own, which pytest 9.2 makes it lose."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(file_of(nodeid))


def begin_alone(fixture: str, factory: pytest.TempPathFactory, worker: str | None) -> None:
    """Fail where another worker of the same run has begun this fixture, too."""
    if worker is not None:
        begun: Path = factory.getbasetemp().parent / f"{fixture}.begun"
        assert not begun.exists(), f"two workers begin {fixture}: name in {Path(__file__).name} who uses it"
        begun.touch()
