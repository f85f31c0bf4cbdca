"""AWS over HTTP, as far as a deployment needs it: SageMaker, ECR, scaling, alarms, quotas and identity.

Every call is checked against botocore's own service models: required and unknown fields, types, lengths,
ranges, patterns and choices, most of which botocore leaves to the service. moto refuses UpdateEndpoint and
inference components, and its endpoints are in service at once.
"""

import base64
import contextlib
import functools
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.sagemaker_states import Parameters, Refused, SageMaker, invalid

ACCOUNT = "111122223333"
SERVICES = {
    "SageMaker": "sagemaker",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AnyScaleFrontendService": "application-autoscaling",
    "GraniteServiceVersion20100801": "cloudwatch",
    "ServiceQuotasV20190624": "service-quotas",
}
READS = ("Describe", "List", "Get")
DIGEST = "sha256:" + "ab" * 32


class ControlPlane:
    """State of the account, faults to switch on, and every change that was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.clear()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """An account without anything, where everything works."""
        self.sagemaker = SageMaker()
        self.repositories: dict[str, dict[str, Parameters]] = {}
        """Images by tag, by repository."""
        self.targets = self.sagemaker.targets
        self.policies: dict[str, Parameters] = {}
        self.alarms: dict[str, Parameters] = {}
        self.quotas: dict[str, float] = {}
        self.unknown_metrics: set[str] = set()
        self.refusals: dict[str, list[Refused]] = {}
        """Answers to give to the next calls of an operation instead of doing it."""
        self.loses_answer_of: set[str] = set()
        """Operations whose next answer never arrives although they are done."""
        self.changes: list[tuple[str, Parameters]] = []
        self.changes_left = 10**6
        """How many changes are made before everything is denied."""

    def push(self, repository: str, tag: str = "latest", digest: str = DIGEST, kind: str = "docker") -> str:
        """Have an image in ECR; returns its digest."""
        media = f"application/vnd.{'docker.distribution' if kind == 'docker' else kind}.manifest.v2+json"
        image = {"imageDigest": digest, "imageTags": [tag], "imageManifestMediaType": media}
        self.repositories.setdefault(repository, {})[tag] = image
        return digest

    def made(self) -> list[str]:
        """Names of the changes so far."""
        return [operation for operation, _ in self.changes]

    def answer(self, service: str, operation: str, given: Parameters, arn: str) -> Parameters:
        """What AWS answers. Raises `Refused`."""
        with self._lock:
            if self.changes_left == 0:
                raise Refused("AccessDeniedException", "switched off by the test")
            if waiting := self.refusals.get(operation):
                raise waiting.pop(0)
            check(service_model(service).operation_model(operation).input_shape, given, operation)
            if not operation.startswith(READS):
                self.changes.append((operation, given))
                self.changes_left -= 1
            owner = self.sagemaker if service == "sagemaker" else self
            answered: Parameters = getattr(owner, operation)(given, arn)
            return answered

    # ECR

    def DescribeRepositories(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        return {"repositories": [self._repository(name) for name in given["repositoryNames"]]}

    def CreateRepository(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        self.repositories[given["repositoryName"]] = {}
        return {"repository": self._repository(given["repositoryName"])}

    def DeleteRepository(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        self._repository(given["repositoryName"])
        del self.repositories[given["repositoryName"]]
        return {}

    def DescribeImages(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        self._repository(given["repositoryName"])
        images = self.repositories[given["repositoryName"]].values()
        wanted = given["imageIds"][0]
        for image in images:
            if (
                wanted.get("imageTag") in image["imageTags"]
                or wanted.get("imageDigest") == image["imageDigest"]
            ):
                return {"imageDetails": [image]}
        raise Refused("ImageNotFoundException", f"The image with imageId {wanted} does not exist")

    def GetAuthorizationToken(self, _given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:hush").decode()}]}

    def _repository(self, name: str) -> Parameters:
        if name not in self.repositories:
            raise Refused("RepositoryNotFoundException", f"The repository with name '{name}' does not exist")
        return {"repositoryName": name}

    # scaling and alarms

    def RegisterScalableTarget(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        kind, name, *_ = given["ResourceId"].split("/")
        owners = self.sagemaker.endpoints if kind == "endpoint" else self.sagemaker.components
        if name not in owners or owners[name].status != "InService":
            raise invalid(f"{kind} {name} does not exist or is not in service")
        self.targets[given["ResourceId"]] = given
        return {"ScalableTargetARN": "arn:aws:application-autoscaling"}

    def DescribeScalableTargets(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        found = [self.targets[name] for name in given["ResourceIds"] if name in self.targets]
        return {"ScalableTargets": found}

    def DeregisterScalableTarget(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        if self.targets.pop(given["ResourceId"], None) is None:
            raise Refused("ObjectNotFoundException", "No scalable target registered")
        self.policies = {
            name: policy
            for name, policy in self.policies.items()
            if policy["ResourceId"] != given["ResourceId"]
        }
        return {}

    def PutScalingPolicy(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        if given["ResourceId"] not in self.targets:
            raise Refused("ObjectNotFoundException", "No scalable target registered")
        tracking = given.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if metric in self.unknown_metrics:
            raise invalid(f"Predefined metric {metric} is not supported")
        self.policies[given["PolicyName"]] = given
        return {"PolicyARN": f"{arn}scalingPolicy:{given['PolicyName']}"}

    def PutMetricAlarm(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        self.alarms[given["AlarmName"]] = given
        return {}

    def DescribeAlarms(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        return {"MetricAlarms": [self.alarms[name] for name in given["AlarmNames"] if name in self.alarms]}

    def DeleteAlarms(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        for name in given["AlarmNames"]:
            del self.alarms[name]
        return {}

    def ListServiceQuotas(self, _given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        return {
            "Quotas": [
                {"QuotaName": f"{kind} for endpoint usage", "Value": value}
                for kind, value in self.quotas.items()
            ]
        }


@functools.cache
def service_model(service: str) -> Any:
    """botocore's description of a service; SageMaker's takes 0.2 s to read."""
    return botocore.session.get_session().get_service_model(service)


def check(shape: Any, value: Any, path: str) -> None:
    """Hold a parameter against its shape, as AWS does before anything else."""
    kind = shape.type_name
    if kind == "structure":
        for name in [*shape.required_members, *value]:
            if name not in shape.members:
                raise invalid(f"Unknown field {name} at {path}")
            if name not in value:
                raise invalid(f"Missing {name} at {path}")
        for name, member in value.items():
            check(shape.members[name], member, f"{path}.{name}")
    elif kind in ("list", "map"):
        _check_size(shape, len(value), value, path)
        for member in value if kind == "list" else value.values():
            check(shape.member if kind == "list" else shape.value, member, path)
    elif kind == "string":
        _check_size(shape, len(value), value, path)
        pattern, enum = shape.metadata.get("pattern", ".*"), shape.metadata.get("enum", [value])
        readable = not re.search(r"\\[up]", pattern)  # Java's classes and surrogates are no Python
        if value not in enum or (readable and not re.fullmatch(pattern, value, re.DOTALL)):
            raise invalid(
                f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint"
            )
    elif kind in ("integer", "float", "double"):
        _check_size(shape, value, value, path)


def _check_size(shape: Any, size: float, value: object, path: str) -> None:
    if not shape.metadata.get("min", size) <= size <= shape.metadata.get("max", size):
        raise invalid(f"1 validation error detected: Value '{value}' at '{path}' is out of range")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, else each answer waits 40 ms for an acknowledgement
    plane: ControlPlane

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers.get("Authorization", ""))
        region = scope[1] if scope else "us-east-1"
        if self.path.startswith("/endpoints/"):
            self._invoke(body)
        elif self.path.startswith("/pushed/"):  # from the stand-in for docker
            self.plane.push(*self.path.split("/")[2].split(":"))
            self._send(200, b"")
        elif "X-Amz-Target" in self.headers:
            self._control(body, region)
        else:
            self._identity()

    def _control(self, body: bytes, region: str) -> None:
        prefix, operation = self.headers["X-Amz-Target"].split(".")
        partition = "aws-cn" if region.startswith("cn-") else "aws"
        arn = f"arn:{partition}:sagemaker:{region}:{ACCOUNT}:"
        try:
            answer = self.plane.answer(SERVICES[prefix], operation, json.loads(body), arn)
        except Refused as refused:
            problem = {"__type": refused.code, "message": refused.message}
            return self._send(refused.status, json.dumps(problem).encode())
        except Exception as error:  # so that a gap of this stand-in is named and not retried
            problem = {"__type": "StandInBroken", "message": repr(error)}
            return self._send(400, json.dumps(problem).encode())
        if operation in self.plane.loses_answer_of:
            self.plane.loses_answer_of.remove(operation)
            self.close_connection = True
            return None
        return self._send(200, json.dumps(answer).encode())

    def _invoke(self, body: bytes) -> None:
        name = self.path.split("/")[2]
        component = self.headers.get("X-Amzn-SageMaker-Inference-Component")
        try:
            model = self.plane.sagemaker.invoke(name, component, body)
        except Refused as refused:
            problem = json.dumps({"Message": refused.message}).encode()
            return self._send(refused.status, problem, {"x-amzn-ErrorType": refused.code})
        result = {"text": f"heard by {model}", "language": "en", "segments": []}
        return self._send(200, json.dumps(result).encode())

    def _identity(self) -> None:
        self._send(
            200,
            f"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{ACCOUNT}</Account>"
            "</GetCallerIdentityResult></GetCallerIdentityResponse>".encode(),
        )

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@contextlib.contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Serve an empty account on loopback."""
    plane = ControlPlane()
    handler = type("Handler", (_Handler,), {"plane": plane})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    plane.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield plane
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def credentials(plane: ControlPlane, home: Path) -> dict[str, str]:
    """What botocore needs in its environment to find the account."""
    return {
        "AWS_ENDPOINT_URL": plane.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


@contextlib.contextmanager
def account(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[ControlPlane]:
    """An account that this process's environment leads to."""
    with control_plane() as plane:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in credentials(plane, home).items():
            monkeypatch.setenv(name, value)
        yield plane
