"""The other commands of `python -m deploy`, scaling to zero, and dry runs, against AWS over HTTP."""

import json
import os
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from deploy.__main__ import main
from tests.aws_control_plane import ACCOUNT, DIGEST, ControlPlane, account

NAME = "whisper-endpoint"
COMPONENT = f"{NAME}-component"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/whisper"
OTHER_DIGEST = "sha256:" + "cd" * 32
REGISTRY = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
UP = ("up", "--role-arn", ROLE, "--poll-seconds", "0.01")
ZERO = (*UP, "--scale-to-zero")
DOWN = ("down", "--yes", "--poll-seconds", "0.01")
SESSION = botocore.session.get_session()

BUILDER = """\
#!{python}
import pathlib, sys, urllib.request
password = sys.stdin.read() if "login" in sys.argv else ""
pathlib.Path({log!r}).open("a").write(" ".join(sys.argv[1:]) + "|" + password + "\\n")
if "fails=1" in sys.argv:
    sys.exit(3)
if sys.argv[1] == "push":
    urllib.request.urlopen("{url}/pushed/" + sys.argv[2].rpartition("/")[2], b"")
"""


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ControlPlane]:
    """An AWS account with one image in it."""
    with account(monkeypatch, tmp_path) as served:
        served.push(NAME)
        yield served


def deploy(*argv: str) -> int:
    return main(argv, os.environ, SESSION)


# scaling to zero


def test_scaling_to_zero_has_all_that_wakes_it(plane: ControlPlane) -> None:
    assert deploy(*ZERO) == 0
    [config] = plane.sagemaker.configs.values()
    [variant] = config["ProductionVariants"]
    assert variant["ManagedInstanceScaling"] == {
        "Status": "ENABLED",
        "MinInstanceCount": 0,
        "MaxInstanceCount": 2,
    }
    assert config["ExecutionRoleArn"] == ROLE
    needs = plane.sagemaker.components[COMPONENT].running["Specification"]["ComputeResourceRequirements"]
    assert needs == {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024}
    assert plane.targets[f"inference-component/{COMPONENT}"]["MinCapacity"] == 0
    assert plane.policies.keys() == {f"{NAME}-load", f"{NAME}-wake"}
    alarm = plane.alarms[f"{NAME}-wake"]
    assert alarm["MetricName"] == "NoCapacityInvocationFailures"
    assert alarm["AlarmActions"] == [f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:scalingPolicy:{NAME}-wake"]


def test_a_component_is_updated_copy_by_copy(plane: ControlPlane) -> None:
    assert deploy(*ZERO) == 0
    plane.push(NAME, digest=OTHER_DIGEST)
    assert deploy(*ZERO) == 0
    component = plane.sagemaker.components[COMPONENT]
    [update] = component.updates
    assert update["DeploymentConfig"]["RollingUpdatePolicy"]["MaximumBatchSize"]["Value"] == 1
    model = plane.sagemaker.models[component.running["Specification"]["ModelName"]]
    assert model["PrimaryContainer"]["Image"].endswith(OTHER_DIGEST)
    assert plane.sagemaker.endpoints[NAME].updates == [], "the instances stay"


def test_a_failed_component_gives_its_reason_and_is_replaced(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(*ZERO) == 0
    assert deploy(*DOWN) == 0
    plane.sagemaker.component_fails_with = "There is not enough hardware resources on the instances"
    assert deploy(*ZERO) == 1
    assert (
        "not enough hardware resources on the instances. Give a smaller --memory-mb"
        in capsys.readouterr().err
    )
    assert deploy(*ZERO) == 0
    assert plane.sagemaker.components[COMPONENT].status == "InService"


def test_a_region_without_scaling_to_zero_says_so(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.sagemaker.scales_to_zero = False
    assert deploy(*ZERO) == 1
    said = capsys.readouterr().err
    assert "Min instance count needs to be greater than 0" in said
    assert "This region does not scale to zero: leave out --scale-to-zero" in said


def test_the_kind_of_an_endpoint_does_not_change(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(*UP) == 0
    assert deploy(*ZERO) == 1
    assert "take another --name, or delete it with `down`" in capsys.readouterr().err


# dry runs


def planned(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_dry_run_prints_the_calls_that_a_run_makes(
    plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(*ZERO, "--dry-run") == 0
    calls = planned(capsys)
    assert plane.changes == []
    assert deploy(*ZERO) == 0
    told = [(call["operation"], call["parameters"]) for call in calls]
    alarm = told[-1][1]
    assert alarm.pop("AlarmActions") == ["<PolicyARN of whisper-endpoint-wake>"]
    plane.changes[-1][1].pop("AlarmActions")
    assert told == plane.changes


def test_a_dry_run_needs_no_image(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    plane.repositories.clear()
    assert deploy(*UP, "--dry-run") == 0
    assert planned(capsys)[0]["operation"] == "CreateModel"


def test_a_dry_run_deletes_nothing(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(*UP) == 0
    assert deploy("down", "--dry-run") == 0
    assert [call["operation"] for call in planned(capsys)] == [
        "DeregisterScalableTarget",
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "DeleteModel",
    ]
    assert NAME in plane.sagemaker.endpoints


# down and status


@pytest.mark.parametrize("flags", [UP, ZERO], ids=["instance", "zero"])
def test_down_leaves_nothing(plane: ControlPlane, flags: tuple[str, ...]) -> None:
    assert deploy(*flags) == 0
    plane.push(NAME, digest=OTHER_DIGEST)
    assert deploy(*flags) == 0
    assert (
        deploy(
            "up", "--role-arn", ROLE, "--poll-seconds", "0.01", "--name", f"{NAME}-other", "--image", "a/b:c"
        )
        == 0
    )
    assert deploy(*DOWN, "--with-images") == 0
    assert list(plane.sagemaker.endpoints) == [f"{NAME}-other"], "names alike are no namesakes"
    assert len(plane.sagemaker.models) == len(plane.sagemaker.configs) == 1
    for left in (plane.sagemaker.components, plane.alarms, plane.repositories):
        assert not left
    assert list(plane.targets) == [f"endpoint/{NAME}-other/variant/AllTraffic"]
    assert deploy(*DOWN) == 0, "again, with nothing left"


def test_down_waits_for_a_component_that_is_being_scaled(plane: ControlPlane) -> None:
    assert deploy(*ZERO) == 0
    plane.sagemaker.components[COMPONENT].change("Updating", plane.sagemaker.components[COMPONENT].running, 3)
    assert deploy(*DOWN) == 0
    assert not plane.sagemaker.components


def test_down_asks(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(*UP) == 0
    assert deploy("down") == 1
    assert "Say that you mean it with --yes" in capsys.readouterr().err
    assert NAME in plane.sagemaker.endpoints


def test_status_shows_versions_to_go_back_to(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy("status") == 1
    assert deploy(*ZERO) == 0
    capsys.readouterr()
    assert deploy("status") == 0
    shown = capsys.readouterr().out
    [config], [model] = plane.sagemaker.configs, plane.sagemaker.models
    for fact in (
        f"{NAME} in eu-west-1: InService",
        f"{COMPONENT}: InService with {model}, 1 copies",
        "0 to 2 (inference-component/",
        f"{config} serving ml.g4dn.xlarge",
        f"{model} {REGISTRY}/{NAME}@{DIGEST}",
    ):
        assert fact in shown


# test


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of silence."""
    path = tmp_path / "recording.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    return path


def test_a_file_is_transcribed(
    plane: ControlPlane, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(*UP) == 0
    assert deploy("test", str(recording), "--hotwords", "Lynx, Katherine", "--method", "logit_bias") == 0
    [model] = plane.sagemaker.models
    assert capsys.readouterr().out == f"heard by {model}\n"
    [(_, body)] = plane.sagemaker.invoked
    assert b"fLaC" in body
    assert b'"words":["Lynx","Katherine"]' in body


def test_an_endpoint_at_zero_is_waited_for(
    plane: ControlPlane, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(*ZERO) == 0
    plane.sagemaker.copies = -1
    assert deploy("test", str(recording), "--poll-seconds", "0.01") == 0
    said = capsys.readouterr()
    assert "starts an instance" in said.err
    assert said.out.startswith("heard by ")


def test_a_missing_endpoint_is_named(
    plane: ControlPlane, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("test", str(recording)) == 1
    assert f"Endpoint {NAME} of account {ACCOUNT} not found" in capsys.readouterr().err


# image


@pytest.fixture
def commands(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stands in for docker, and for the registry it pushes to; the file it logs its commands in."""
    folder, log = tmp_path / "bin", tmp_path / "commands"
    folder.mkdir()
    script = BUILDER.format(python=sys.executable, log=str(log), url=plane.url)
    (folder / "docker").write_text(script)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return log


def test_an_image_is_built_and_pushed(
    plane: ControlPlane, commands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.repositories.clear()
    assert deploy("image", "--model", "models/mine", "--build-arg", "TORCH_INDEX_URL=http://pytorch") == 0
    built, logged_in, pushed = commands.read_text().splitlines()
    assert built.startswith("buildx build --provenance=false --output type=docker --platform linux/amd64")
    assert "--build-arg MODEL=models/mine --build-arg TORCH_INDEX_URL=http://pytorch" in built
    assert logged_in == f"login --username AWS --password-stdin {REGISTRY}|hush"
    assert pushed == f"push {REGISTRY}/{NAME}:latest|"
    assert capsys.readouterr().out == f"{REGISTRY}/{NAME}@{DIGEST}\n"
    assert plane.made() == ["CreateRepository"]


def test_a_failed_build_ends_it(
    plane: ControlPlane, commands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("image", "--build-arg", "fails=1") == 1
    assert "docker buildx failed with exit code 3" in capsys.readouterr().err
    assert len(commands.read_text().splitlines()) == 1


def test_a_dry_run_shows_the_commands_and_no_password(
    plane: ControlPlane, commands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.repositories.clear()
    assert deploy("image", "--dry-run") == 0
    build, repository, login, push = planned(capsys)
    assert build["command"][:3] == ["docker", "buildx", "build"]
    assert repository["operation"] == "CreateRepository"
    assert login["command"][1:] == ["login", "--username", "AWS", "--password-stdin", REGISTRY]
    assert push["command"] == ["docker", "push", f"{REGISTRY}/{NAME}:latest"]
    assert not commands.exists()


def test_a_missing_builder_is_named(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert deploy("image") == 1
    assert "docker or podman or buildah is needed on PATH" in capsys.readouterr().err
