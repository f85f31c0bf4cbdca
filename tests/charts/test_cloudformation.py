"""The CloudFormation templates: valid in global and China regions, secure, and of one mind with the code."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import plan
from deploy.arguments import DEFAULT_NAME, MAX_NAME
from tests.charts.templates import NAMES, TEMPLATES, resources, template

REGIONS = ("us-east-1", "cn-north-1", "cn-northwest-1")
BIN = Path(sys.executable).parent
MAX_BODY = 51_200
"""Bytes of a template that CloudFormation takes without a bucket."""
WRONG = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      Hue: blue
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}
      ManagedPolicyArns: [!Sub "arn:aws:iam::${AWS::AccountId}:policy/some"]
  Workspace:
    Type: AWS::APS::Workspace
"""
OUTPUTS = {
    "network": {"VpcId", "PrivateSubnetIds", "PublicSubnetIds", "FlowLogGroup"},
    "cluster": {
        "ClusterName",
        "ClusterEndpoint",
        "OidcIssuer",
        "VpcId",
        "NodeRoleArn",
        "LoadBalancerControllerRoleArn",
        "EbsCsiRoleArn",
    },
    "app": {
        "RegistryUri",
        "AuthRoleArn",
        "TranscriberRoleArn",
        "EndpointRoleArn",
        "CredentialsSecretName",
        "SigningSecretName",
        "ModelBucket",
        "KeyArn",
        "EndpointName",
        "EndpointAlarms",
    },
}
KEPT = {"AWS::SecretsManager::Secret", "AWS::S3::Bucket"}
"""What a stack leaves behind: nothing brings it back."""
KEEP = "RetainExceptOnCreate"
"""Kept, but for what a creation that failed leaves."""
HOLDS_STATE = {*KEPT, "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::ECR::Repository"}
"""For these somebody has to have decided."""


def run(*command: str | Path) -> Any:
    """What a checking program says as JSON; its exit code is about what it found."""
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(("[", "{")), done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_templates_are_valid_in_every_region(tmp_path: Path) -> None:
    """Beside them lies one with mistakes, to see that those are found."""
    (wrong := tmp_path / "wrong.yaml").write_text(WRONG)
    paths = [*(TEMPLATES / f"{name}.yaml" for name in NAMES), wrong]
    partition = ("-c", "I3042", "-x", "I3042:partition=true")
    found = run(BIN / "cfn-lint", "--regions", *REGIONS, *partition, "--format", "json", "--", *paths)
    ours = [(one["Filename"], one["Message"]) for one in found if one["Filename"] != str(wrong)]
    assert not ours
    assert {one["Rule"]["Id"] for one in found} == {
        "I3042",  # an ARN of one partition
        "E3002",  # a property that there is not
        "E3006",  # a type that China lacks
    }


def test_no_template_is_misconfigured(tmp_path: Path) -> None:
    """By the checks of high and critical weight that Trivy contains; again beside a mistake."""
    for name in NAMES:
        shutil.copy(TEMPLATES / f"{name}.yaml", tmp_path)
    public = (
        (TEMPLATES / "app.yaml").read_text().replace("BlockPublicPolicy: true", "BlockPublicPolicy: false")
    )
    (tmp_path / "wrong.yaml").write_text(public)
    offline = ("--skip-check-update", "--skip-version-check", "--quiet", "--format", "json")
    found = run(BIN / "trivy", "config", *offline, "--severity", "HIGH,CRITICAL", tmp_path)
    by_file = {one["Target"]: one.get("Misconfigurations", []) for one in found["Results"]}
    assert {f"{name}.yaml" for name in NAMES} <= by_file.keys()
    wrong = [one["ID"] for one in by_file.pop("wrong.yaml")]
    assert [one.rpartition("-")[2] for one in wrong] == ["0087"]
    assert not {name: [one["Title"] for one in listed] for name, listed in by_file.items() if listed}


def test_no_arn_names_a_partition() -> None:
    found = [name for name in NAMES if "arn:aws" in (TEMPLATES / f"{name}.yaml").read_text()]
    assert not found


@pytest.mark.parametrize("name", NAMES)
def test_a_template_needs_no_bucket(name: str) -> None:
    assert (TEMPLATES / f"{name}.yaml").stat().st_size < MAX_BODY


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_described_limited_and_grouped(name: str) -> None:
    found = template(name)
    groups = found["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(grouped) == sorted(found["Parameters"]), "each parameter belongs to one group"
    for parameter, about in found["Parameters"].items():
        assert about["Description"], parameter
        limits = {"AllowedPattern", "AllowedValues", "MinValue"} & about.keys()
        assert limits or "AWS::" in about["Type"], f"{parameter} takes anything"
        if pattern := about.get("AllowedPattern"):
            assert re.fullmatch(pattern, about.get("Default", "")), f"{parameter}: its default is refused"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("203.0.113.7/32", True),
        ("10.0.0.0/8", True),
        ("0.0.0.0/0", False),
        ("0.0.0.0/1", False),
        ("203.0.113.7", False),
    ],
)
def test_the_whole_internet_cannot_be_let_to_the_api(given: str, taken: bool) -> None:
    pattern = template("cluster")["Parameters"]["ApiAccessCidrs"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, given)) is taken


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_puts_out_what_the_next_step_needs(name: str) -> None:
    outputs = template(name)["Outputs"]
    assert outputs.keys() == OUTPUTS[name]
    for output, about in outputs.items():
        assert about["Description"], output
        assert about["Export"]["Name"] == {"Fn::Sub": f"${{AWS::StackName}}-{output}"}


def test_what_holds_state_has_a_fate_of_its_own() -> None:
    for name, logical, resource in resources():
        if resource["Type"] in HOLDS_STATE:
            assert {"DeletionPolicy", "UpdateReplacePolicy"} <= resource.keys(), f"{name}: {logical}"
            assert resource["UpdateReplacePolicy"] == "Retain", f"{name}: {logical}"
        if resource["Type"] in KEPT:
            assert resource["DeletionPolicy"] == KEEP, f"{name}: {logical}"
    assert template("app")["Resources"]["Key"]["DeletionPolicy"] == KEEP, "nobody reads the rest without it"


def test_what_is_kept_is_not_in_the_way_of_the_next_stack() -> None:
    """A fixed name of something kept would make the next creation fail."""
    for _, logical, resource in resources():
        if resource.get("DeletionPolicy") == KEEP:
            names = {"BucketName", "LogGroupName", "RepositoryName", "AliasName"} & resource[
                "Properties"
            ].keys()
            assert not names, logical
    name = template("app")["Resources"]["Credentials"]["Properties"]["Name"]
    assert "AWS::StackId" in json.dumps(name)


def properties(name: str, logical: str) -> dict[str, Any]:
    return template(name)["Resources"][logical]["Properties"]  # type: ignore[no-any-return]


def test_the_endpoint_is_called_as_the_deploy_commands_call_it() -> None:
    about = template("app")["Parameters"]["EndpointName"]
    assert (about["Default"], about["MaxLength"]) == (DEFAULT_NAME, MAX_NAME)
    component = plan.component_name("${EndpointName}")
    text = (TEMPLATES / "app.yaml").read_text()
    assert set(re.findall(r"\$\{EndpointName\}-\w+", text)) == {component}
    for alarm in ("EndpointErrors", "EndpointLatency"):
        assert f'"{plan.VARIANT}"' in json.dumps(properties("app", alarm)), alarm


def test_network_policies_are_enforced() -> None:
    """Without its agent the cluster takes NetworkPolicies and ignores them."""
    settings = json.loads(properties("cluster", "VpcCni")["ConfigurationValues"])
    assert settings == {"enableNetworkPolicy": "true"}


def test_pods_do_not_reach_the_role_of_their_node() -> None:
    metadata = properties("cluster", "NodeTemplate")["LaunchTemplateData"]["MetadataOptions"]
    assert metadata == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}


def test_every_node_has_an_encrypted_disk() -> None:
    for _, logical, resource in resources("AWS::EKS::Nodegroup"):
        assert resource["Properties"]["LaunchTemplate"]["Id"] == {"Ref": "NodeTemplate"}, logical
    (disk,) = properties("cluster", "NodeTemplate")["LaunchTemplateData"]["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True


def test_the_cluster_logs_everything_and_encrypts_its_secrets() -> None:
    cluster = properties("cluster", "Cluster")
    logged = {entry["Type"] for entry in cluster["Logging"]["ClusterLogging"]["EnabledTypes"]}
    assert logged == {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    assert cluster["EncryptionConfig"][0]["Resources"] == ["secrets"]
    assert cluster["AccessConfig"]["AuthenticationMode"] == "API"


def test_an_image_cannot_be_replaced_under_its_tag() -> None:
    repositories = {logical: resource for _, logical, resource in resources("AWS::ECR::Repository")}
    assert {one["Properties"]["RepositoryName"]["Fn::Sub"] for one in repositories.values()} == {
        f"${{ImagePrefix}}-{service}"
        for service in ("gateway", "auth", "chunker", "transcriber", "provision")
    }
    for logical, one in repositories.items():
        assert one["Properties"]["ImageTagMutability"] == "IMMUTABLE", logical
        assert one["Properties"]["ImageScanningConfiguration"] == {"ScanOnPush": True}, logical
    rules = json.loads(template("app")["Mappings"]["Registry"]["Lifecycle"]["Policy"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged", "any"]
