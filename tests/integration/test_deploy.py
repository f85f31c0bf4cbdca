"""`python -m deploy up` against AWS's control plane over HTTP: creation, faults, updates, interruptions."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from deploy.__main__ import main
from tests.aws_control_plane import ACCOUNT, DIGEST, ControlPlane, account, credentials
from tests.sagemaker_states import Refused

ROOT = Path(__file__).parents[2]
NAME = "whisper-endpoint"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/whisper"
OTHER_DIGEST = "sha256:" + "cd" * 32
UP = ("up", "--role-arn", ROLE, "--poll-seconds", "0.01")
ZERO = (*UP, "--scale-to-zero")

Deploy = Callable[..., int]


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ControlPlane]:
    """An AWS account with one image in it."""
    with account(monkeypatch, tmp_path) as served:
        served.push(NAME)
        yield served


SESSION = botocore.session.get_session()


def deploy(*argv: str) -> int:
    return main(argv, os.environ, SESSION)


def serving(plane: ControlPlane) -> dict[str, Any]:
    """The variant that is in service."""
    endpoint = plane.sagemaker.endpoints[NAME]
    config = plane.sagemaker.configs[endpoint.running["EndpointConfigName"]]
    variant: dict[str, Any] = config["ProductionVariants"][0]
    return variant


def image_of(plane: ControlPlane) -> str:
    return str(plane.sagemaker.models[serving(plane)["ModelName"]]["PrimaryContainer"]["Image"])


# creating


def test_an_endpoint_comes_up_with_scaling(plane: ControlPlane) -> None:
    assert deploy(*UP, "--env", "MAX_BATCH=8", "--max-instances", "3") == 0
    variant = serving(plane)
    assert variant["InferenceAmiVersion"] == "al2023-ami-sagemaker-inference-gpu-4-1"
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 900
    model = plane.sagemaker.models[variant["ModelName"]]
    registry = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
    assert model["PrimaryContainer"] == {
        "Image": f"{registry}/{NAME}@{DIGEST}",
        "Environment": {"MAX_BATCH": "8"},
    }
    target = plane.targets[f"endpoint/{NAME}/variant/AllTraffic"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    tracking = plane.policies[f"{NAME}-load"]["TargetTrackingScalingPolicyConfiguration"]
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    assert tracking["TargetValue"] == 8.0


def test_a_cpu_takes_no_gpu_driver(plane: ControlPlane) -> None:
    assert deploy(*UP, "--instance-type", "ml.c6i.2xlarge", "--max-instances", "1") == 0
    assert "InferenceAmiVersion" not in serving(plane)
    assert not plane.targets, "one instance at most needs no scaling"


def test_model_data_is_where_the_container_looks(plane: ControlPlane) -> None:
    assert deploy(*UP, "--model-data", "s3://models/large.tar.gz") == 0
    container = plane.sagemaker.models[serving(plane)["ModelName"]]["PrimaryContainer"]
    assert container["ModelDataUrl"] == "s3://models/large.tar.gz"
    assert container["Environment"] == {"WHISPER_MODEL": "/opt/ml/model"}
    assert serving(plane)["ModelDataDownloadTimeoutInSeconds"] == 1200


def test_china_has_its_own_partition_and_registry(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    role = ROLE.replace("arn:aws:", "arn:aws-cn:")
    argv = ("up", "--region", "cn-northwest-1", "--poll-seconds", "0.01", "--role-arn")
    assert deploy(*argv, role) == 0
    assert image_of(plane) == f"{ACCOUNT}.dkr.ecr.cn-northwest-1.amazonaws.com.cn/{NAME}@{DIGEST}"
    assert deploy(*argv, ROLE) == 1
    assert "role ARNs begin with arn:aws-cn:iam::" in capsys.readouterr().err


def test_a_second_run_changes_nothing(plane: ControlPlane) -> None:
    assert deploy(*UP) == 0
    before = plane.made()
    assert deploy(*UP) == 0
    assert [name for name in plane.made()[len(before) :] if name.startswith(("Create", "Update"))] == []


# faults


def test_a_missing_image_is_named_with_its_remedy(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.repositories.clear()
    assert deploy(*UP) == 1
    assert "is not in ECR. Push it first: python -m deploy image" in capsys.readouterr().err
    assert plane.made() == []


def test_an_image_that_sagemaker_cannot_read_is_refused(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.push(NAME, kind="oci.image")
    assert deploy(*UP) == 1
    assert "Docker manifests of one platform only" in capsys.readouterr().err


def test_a_missing_role_is_named_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        deploy("up")
    assert exit_.value.code == 2
    assert "--role-arn is required: an IAM role that SageMaker may assume" in capsys.readouterr().err


def test_a_quota_is_foretold_and_its_refusal_explained(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.quotas = {"ml.g4dn.xlarge": 0.0}
    plane.sagemaker.quota = {"ml.g4dn.xlarge": 0}
    assert deploy(*UP) == 1
    said = capsys.readouterr().err
    assert "warning: the quota 'ml.g4dn.xlarge for endpoint usage' is 0: AWS will refuse" in said
    assert "is 0 Instances, with current utilization of 0" in said
    assert "Service Quotas console" in said


def test_an_unreadable_quota_only_warns(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    plane.refusals["ListServiceQuotas"] = [Refused("AccessDeniedException", "not yours")]
    assert deploy(*UP) == 0
    assert "the quota was not checked" in capsys.readouterr().err


def test_a_failed_endpoint_gives_its_reason_and_is_replaced(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.sagemaker.fails_with = "The primary container did not pass the ping health check."
    assert deploy(*UP) == 1
    said = capsys.readouterr().err
    assert "is Failed. The primary container did not pass the ping health check" in said
    assert "--startup-seconds" in said
    assert f"/aws/sagemaker/Endpoints/{NAME}" in said
    assert deploy(*UP) == 0
    assert plane.made().count("DeleteEndpoint") == 1
    assert plane.sagemaker.endpoints[NAME].status == "InService"


def test_a_failed_update_is_rolled_back_and_says_so(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(*UP) == 0
    plane.push(NAME, digest=OTHER_DIGEST)
    plane.sagemaker.fails_with = "CannotStartContainerError. Please ensure the model container starts"
    assert deploy(*UP) == 1
    said = capsys.readouterr().err
    assert "the update failed and was rolled back" in said
    assert "GPU driver too old" in said
    assert image_of(plane).endswith(DIGEST)


@pytest.mark.parametrize("field", ["ModelDataDownloadTimeoutInSeconds", "InferenceAmiVersion"])
def test_a_field_that_a_region_refuses_is_left_out(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    plane.sagemaker.refused_fields = {field}
    assert deploy(*UP, "--model-data", "s3://models/large.tar.gz") == 0
    assert field not in serving(plane)
    assert "ContainerStartupHealthCheckTimeoutInSeconds" in serving(plane)
    assert f"This region does not take {field}: going on without" in capsys.readouterr().err


def test_fields_that_are_refused_without_a_name_are_left_out_one_by_one(plane: ControlPlane) -> None:
    """CreateEndpoint refuses what CreateEndpointConfig took, and does not say which field it means."""
    plane.sagemaker.unsupported = {"ContainerStartupHealthCheckTimeoutInSeconds"}
    assert deploy(*UP) == 0
    assert "ContainerStartupHealthCheckTimeoutInSeconds" not in serving(plane)
    assert "InferenceAmiVersion" in serving(plane)
    assert deploy(*UP) == 0
    assert plane.sagemaker.endpoints[NAME].updates == [], "the second run finds what the first ended with"


def test_an_unknown_metric_falls_back_to_invocations(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.unknown_metrics = {"SageMakerVariantConcurrentRequestsPerModelHighResolution"}
    assert deploy(*UP) == 0
    tracking = plane.policies[f"{NAME}-load"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 240.0
    assert "scaling on 240 requests a minute instead of 8 at once" in capsys.readouterr().err


# updating


@contextlib.contextmanager
def load(plane: ControlPlane) -> Iterator[list[str]]:
    """Invoke the endpoint all the time; yields the answers, and raises the first failure at the end."""
    client = SESSION.create_client("sagemaker-runtime", region_name="eu-west-1")
    answers: list[str] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                answer = client.invoke_endpoint(EndpointName=NAME, Body=b"sound")
                answers.append(json.loads(answer["Body"].read())["text"])
            except Exception as error:  # any failure at all is the test's
                failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()
    assert not failures, failures[0]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "not in 10 s"
        time.sleep(0.005)


def test_an_update_under_load_fails_no_request(plane: ControlPlane) -> None:
    assert deploy(*UP) == 0
    plane.push(NAME, digest=OTHER_DIGEST)
    plane.sagemaker.looks = 10
    with load(plane) as answers:
        wait_for(lambda: len(answers) > 5)
        assert deploy(*UP, "--alarm", "too-many-errors") == 0
        seen = len(answers)
        wait_for(lambda: len(answers) > seen + 5)
    assert len(set(answers)) == 2, "both versions have answered"
    [update] = plane.sagemaker.endpoints[NAME].updates
    assert update["RetainAllVariantProperties"], "instances that scaling added stay"
    rollback = update["DeploymentConfig"]["AutoRollbackConfiguration"]
    assert rollback == {"Alarms": [{"AlarmName": "too-many-errors"}]}


@pytest.mark.parametrize("reason", ["", "CannotStartContainerError"], ids=["done", "rolled back"])
def test_scaling_pauses_while_the_instance_type_changes(plane: ControlPlane, reason: str) -> None:
    assert deploy(*UP) == 0
    plane.sagemaker.fails_with = reason
    assert deploy(*UP, "--instance-type", "ml.g5.xlarge") == bool(reason)
    assert serving(plane)["InstanceType"] == ("ml.g4dn.xlarge" if reason else "ml.g5.xlarge")
    made = plane.made()
    assert made.index("DeregisterScalableTarget") < made.index("UpdateEndpoint")
    assert plane.targets.keys() == {f"endpoint/{NAME}/variant/AllTraffic"}


def test_going_back_takes_the_old_version_as_it_is(plane: ControlPlane) -> None:
    assert deploy(*UP) == 0
    old = plane.sagemaker.endpoints[NAME].running["EndpointConfigName"]
    plane.push(NAME, digest=OTHER_DIGEST)
    assert deploy(*UP) == 0
    plane.push(NAME, tag="old")
    registry = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
    assert deploy(*UP, "--image", f"{registry}/{NAME}@{DIGEST}") == 0
    assert plane.sagemaker.endpoints[NAME].running["EndpointConfigName"] == old
    assert len(plane.sagemaker.configs) == 2


# interruptions


def test_it_goes_on_wherever_it_was_cut_off(plane: ControlPlane) -> None:
    assert deploy(*ZERO) == 0
    wanted, changes = set(plane.made()), len(plane.changes)
    for done in range(changes):
        plane.clear()
        plane.push(NAME)
        plane.changes_left = done
        assert deploy(*ZERO) == 1
        plane.changes_left = 10**6
        assert deploy(*ZERO) == 0
        assert set(plane.made()) == wanted
    assert plane.sagemaker.endpoints[NAME].status == "InService"


def test_a_lost_answer_is_no_failure(plane: ControlPlane) -> None:
    plane.loses_answer_of = {"CreateModel", "CreateEndpoint"}
    assert deploy(*UP) == 0
    assert plane.made().count("CreateModel") == 2


def test_a_killed_run_is_followed_by_the_next(plane: ControlPlane, tmp_path: Path) -> None:
    plane.sagemaker.looks = 10**6
    environ = os.environ | credentials(plane, tmp_path) | {"PYTHONPATH": f"{ROOT}:{ROOT / 'sagemaker'}"}
    with subprocess.Popen([sys.executable, "-m", "deploy", *UP], env=environ, stderr=subprocess.PIPE) as run:
        wait_for(lambda: NAME in plane.sagemaker.endpoints or run.poll() is not None)
        run.send_signal(signal.SIGKILL)
    plane.sagemaker.endpoints[NAME].looks = 2
    assert deploy(*UP) == 0
    assert plane.made().count("CreateEndpoint") == 1


def test_patience_ends_with_a_word_on_how_to_go_on(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.sagemaker.looks = 10**6
    assert deploy(*UP, "--wait-minutes", "0.001") == 1
    assert "is still Creating" in capsys.readouterr().err
