"""What is wrong in the values is refused by Helm, with the value's name in the message."""

import helm_python
import pytest

from tests.charts.rendering import render

ARN = "arn:aws:iam::111122223333:role/auth"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image.tagg": "1"}, ["/image", "'tagg' not allowed"]),
        ({"service.gateway.replicas": 2}, ["'service' not allowed"]),
        ({"services.gateway.replica": 2}, ["/services/gateway", "'replica' not allowed"]),
        ({"services.gateway.replicas": "two"}, ["/services/gateway/replicas", "want integer"]),
        ({"services.gateway.replicas": 0}, ["/services/gateway/replicas", "minimum: got 0, want 1"]),
        ({"services.gateway.env.MAX_UPLOAD": 1}, ["/services/gateway/env", "'MAX_UPLOAD' not allowed"]),
        ({"services.gateway.env.MAX_UPLOADS": "many"}, ["/env/MAX_UPLOADS", "want integer"]),
        ({"services.chunker.env.CHUNKER_SLOTS": 2.5}, ["/env/CHUNKER_SLOTS", "integer"]),
        ({"services.auth.env.DRAIN_SECONDS": -1}, ["/env/DRAIN_SECONDS", "minimum"]),
        ({"services.auth.env.NATS_NKEY_SEED": "SU..."}, ["'NATS_NKEY_SEED' not allowed"]),
        ({"services.transcriber.env.ENDPOINT_CONTRACT": "grpc"}, ["/ENDPOINT_CONTRACT", "'native'"]),
        ({"services.gateway.tmpSize": "64 MB"}, ["/services/gateway/tmpSize", "does not match"]),
        ({"services.auth.spread.zones": "Maybe"}, ["/spread/zones", "'DoNotSchedule'"]),
        ({"aws.identity": "keys"}, ["/aws/identity", "'pod-identity'"]),
        ({"aws.identity": "irsa", "aws.roles.auth": ARN}, ["/aws/roles/transcriber"]),
        ({"aws.region": "Ningxia"}, ["/aws/region", "does not match"]),
        ({"publicUrl": "whisper.example.com"}, ["/publicUrl", "does not match"]),
        ({"loadBalancer.sourceRanges": ["10.0.0.0"]}, ["/loadBalancer/sourceRanges/0", "does not match"]),
        # Nobody would become everybody: to AWS and to a NetworkPolicy an empty list is no restriction.
        ({"loadBalancer.sourceRanges": []}, ["/loadBalancer/sourceRanges", "minItems: got 0, want 1"]),
        ({"ingress.sourceRanges": []}, ["/ingress/sourceRanges", "minItems"]),
        ({"networkPolicy.awsCidrs": []}, ["/networkPolicy/awsCidrs", "minItems"]),
        ({"nats.image.tag": ""}, ["/nats/image/tag", "does not match"]),
        ({"nats.reloader.image.tag": ""}, ["/nats/reloader/image/tag", "does not match"]),
        ({"loadBalancer.certificateArn": "cert"}, ["/loadBalancer/certificateArn", "does not match"]),
        ({"arch": "arm"}, ["/arch", "'arm64'"]),
        ({"keda.namespace": ""}, ["/keda/namespace", "does not match"]),
        ({"keda.pollingSeconds": 0}, ["/keda/pollingSeconds", "minimum"]),
        ({"services.chunker.env.CHUNKER_SLOTS": 0}, ["/env/CHUNKER_SLOTS", "minimum: got 0, want 1"]),
        ({"services.transcriber.env.TRANSCRIBER_SLOTS": 0}, ["/env/TRANSCRIBER_SLOTS", "want 1"]),
        ({"services.chunker.env.USER_JOBS": 0}, ["/env/USER_JOBS", "want 1"]),
        ({"services.chunker.env.WINDOW_CHUNKS": 0}, ["/env/WINDOW_CHUNKS", "want 1"]),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(given: dict[str, object], said: list[str]) -> None:
    with pytest.raises(helm_python.HelmError) as caught:
        render((), given)
    assert [words for words in said if words not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"services.auth.env.DRAIN_SECONDS": None}, "services.auth.env.DRAIN_SECONDS is needed"),
        ({"services.chunker.env.CHUNKER_SLOTS": None}, "services.chunker.env.CHUNKER_SLOTS is needed"),
        ({"services.chunker.env.SPOOL_MAX_BYTES": None}, "services.chunker.env.SPOOL_MAX_BYTES is needed"),
        ({"provision.env.PROVISION_WAIT_SECONDS": None}, "provision.env.PROVISION_WAIT_SECONDS is needed"),
        ({"ingress.enabled": True}, "publicUrl is needed"),
        (
            {"ingress.enabled": True, "publicUrl": "https://a.example.com", "loadBalancer.enabled": True},
            "exclude each other",
        ),
        ({"services.gateway.autoscaling.minReplicas": 7}, "minReplicas=7 is more than maxReplicas=6"),
        ({"services.chunker.autoscaling.minReplicas": 5}, "minReplicas=5 is more than maxReplicas=4"),
        ({"services.transcriber.autoscaling.minReplicas": 3}, "minReplicas=3 is more than maxReplicas=2"),
        ({"nats.enabled": False}, "nats.external.url must say"),
        ({"nats.enabled": False, "nats.external.url": "nats://n:4222"}, "nats.external.monitor must say"),
    ],
    ids=str,
)
def test_what_is_missing_is_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=said):
        render((), given)
