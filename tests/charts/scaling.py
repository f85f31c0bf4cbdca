"""The ScaledObjects of chunkers and transcribers, by the rules of docs/scaling.md."""

from collections.abc import Mapping
from typing import Any

from services.chunker.settings import Settings as Chunker
from services.contracts.messages import Lane
from services.contracts.topology import CHUNKERS, TRANSCRIBERS, WAITING, ConsumerSpec
from services.transcriber.settings import Settings as Transcriber
from tests.charts.keda import ScaledObject

REQUESTS = 16
"""At once, of an endpoint with all its instances."""
NEVER = 1_000_000
"""A threshold that starts the first replica and asks for no second one."""


def scaled_objects() -> Mapping[str, ScaledObject]:
    """By service."""
    return {name: ScaledObject.of({"spec": spec}) for name, spec in _specs().items()}


def _specs() -> dict[str, dict[str, Any]]:
    chunker, transcriber = Chunker(), Transcriber()
    slots = chunker.chunker_slots
    thresholds = {Lane.SHORT: below(slots), Lane.LONG: below(slots * 3 // 4), Lane.LOW: slots // 4}
    jobs = [_trigger(f"jobs_{lane}", CHUNKERS[lane], threshold) for lane, threshold in thresholds.items()]
    chunks = [_trigger(f"chunks_{lane}", TRANSCRIBERS[lane], 1) for lane in Lane]
    waiting = _trigger("waiting", WAITING, NEVER)
    every = {"pollingInterval": 5, "cooldownPeriod": 300, "minReplicaCount": 0}
    most = -(-2 * REQUESTS * chunker.user_jobs // (chunker.window_chunks * thresholds[Lane.LONG]))
    formula = (
        "max(chunks_short + chunks_long + chunks_low, min(waiting + jobs_short + jobs_long + jobs_low, 1))"
    )
    return {
        "chunker": {
            **every,
            "maxReplicaCount": most,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _slowly_down(600)}},
            "triggers": [waiting, *jobs],
        },
        "transcriber": {
            **every,
            "maxReplicaCount": -(-REQUESTS // transcriber.transcriber_slots),
            "advanced": {
                "horizontalPodAutoscalerConfig": {"behavior": _slowly_down(300)},
                "scalingModifiers": {
                    "formula": formula,
                    "target": str(transcriber.transcriber_slots),
                    "metricType": "AverageValue",
                },
            },
            "triggers": [waiting, *jobs, *chunks],
        },
    }


def below(slots: int) -> int:
    """So many that 10 % more, which the HPA tolerates, still find a slot."""
    return max(1, slots * 10 // 11)


def _trigger(name: str, consumer: ConsumerSpec, threshold: int) -> dict[str, Any]:
    metadata = {"stream": consumer.stream, "consumer": consumer.name, "lagThreshold": str(threshold)}
    return {"type": "nats-jetstream", "name": name, "metadata": metadata}


def _slowly_down(seconds: int) -> dict[str, Any]:
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    return {"scaleDown": {"stabilizationWindowSeconds": seconds, "policies": [policy]}}
