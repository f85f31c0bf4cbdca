"""The nodes of a preset hold all that it may start, and one pod more of each service during an upgrade."""

import math

import msgspec
import pytest

from tests.charts.conftest import Rendered
from tests.charts.rendering import Manifests, Object

ON_DEMAND, SPOT = "ON_DEMAND", "SPOT"
CAPACITY = "eks.amazonaws.com/capacityType"


class Room(msgspec.Struct):
    """Millicores, MiB of memory and MiB of disk."""

    cpu: int
    memory: int
    disk: int

    def less(self, other: "Room") -> "Room":
        """What is left."""
        return Room(self.cpu - other.cpu, self.memory - other.memory, self.disk - other.disk)

    def lacks(self) -> bool:
        """More was taken than there was."""
        return min(self.cpu, self.memory, self.disk) < 0


DISK = int((50 * 0.9 - 1) * 1024)
"""Of a volume of 50 GiB the kubelet keeps a tenth, and 1 GiB for the system."""
LARGE = Room(1930, 7000, DISK)
"""What EKS leaves of a t3.large."""
XLARGE = Room(3920, 14_500, DISK)
"""What EKS leaves of an m6i.xlarge."""
CLUSTERS_OWN = Room(600, 1500, 6000)
"""A node's share of the cluster's own pods (network, DNS, KEDA, load balancers, metrics), and images."""
WATCHED = Room(900, 3000, 10_000)
"""The same with Prometheus and Grafana."""
DAEMONS = Room(250, 500, 4000)
"""Of a spot node: what runs on each node."""

PRESETS: dict[tuple[str, ...], dict[str, list[Room]]] = {
    ("values-small.yaml",): {ON_DEMAND: [LARGE.less(CLUSTERS_OWN)] * 2},
    ("values-ha.yaml",): {ON_DEMAND: [XLARGE.less(WATCHED)] * 3},
    ("values-small.yaml", "values-spot.yaml"): {
        ON_DEMAND: [LARGE.less(CLUSTERS_OWN)] * 2,
        SPOT: [LARGE.less(DAEMONS)] * 2,
    },
    ("values-ha.yaml", "values-spot.yaml"): {
        ON_DEMAND: [XLARGE.less(WATCHED)] * 3,
        SPOT: [LARGE.less(DAEMONS)] * 2,
    },
}
"""Nodes of each preset, as deploy/aws/up makes them, by their capacity."""


@pytest.mark.parametrize("files", PRESETS, ids="+".join)
def test_nodes_hold_the_preset(rendered: Rendered, files: tuple[str, ...]) -> None:
    """Each pod, the largest first, goes to the node that has most left, as the scheduler spreads them."""
    one = rendered(files)
    left = {capacity: list(rooms) for capacity, rooms in PRESETS[files].items()}
    wanted = [
        (_requests(pod), pod.get("nodeSelector", {}).get(CAPACITY, ON_DEMAND))
        for pod, most in _most(one)
        for _ in range(most)
    ]
    for asked, capacity in sorted(wanted, key=lambda want: want[0].cpu, reverse=True):
        rooms = left[capacity]
        at = max(range(len(rooms)), key=lambda index: rooms[index].cpu)
        rooms[at] = rooms[at].less(asked)
    assert [room for rooms in left.values() for room in rooms if room.lacks()] == []


def _most(one: Manifests) -> list[tuple[Object, int]]:
    """Pods with the most of each that there may be at once."""
    scaled = {
        scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"].get("maxReplicaCount")
        or scaler["spec"]["maxReplicas"]
        for kind in ("ScaledObject", "HorizontalPodAutoscaler")
        for scaler in one.of(kind).values()
    }
    found = [
        (deployment["spec"]["template"]["spec"], (scaled.get(name) or deployment["spec"]["replicas"]) + 1)
        for name, deployment in one.of("Deployment").items()
    ]
    found += [(job["spec"]["template"]["spec"], 1) for job in one.of("Job").values()]
    found += [
        (nats["spec"]["template"]["spec"], nats["spec"]["replicas"])
        for nats in one.of("StatefulSet").values()
    ]
    return found


def _requests(pod: Object) -> Room:
    """What a node has to have for it: its containers together, or the largest of those that run before."""
    before = [_asked(container) for container in pod.get("initContainers", ())]
    together = [_asked(container) for container in pod["containers"]]
    return Room(
        *(
            max([sum(getattr(room, kind) for room in together), *(getattr(room, kind) for room in before)])
            for kind in ("cpu", "memory", "disk")
        )
    )


def _asked(container: Object) -> Room:
    asked = container["resources"]["requests"]
    return Room(
        _millicores(str(asked["cpu"])), _mebibytes(asked["memory"]), _mebibytes(asked["ephemeral-storage"])
    )


def _millicores(text: str) -> int:
    return int(text.removesuffix("m")) if text.endswith("m") else math.ceil(float(text) * 1000)


def _mebibytes(text: str) -> int:
    return int(text.removesuffix("Gi")) * 1024 if text.endswith("Gi") else int(text.removesuffix("Mi"))
