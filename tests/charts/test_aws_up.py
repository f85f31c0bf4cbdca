"""deploy/aws/up against an account that is emulated over HTTP, by the real AWS command line."""

import re
from pathlib import Path

import pytest
import yaml

from tests.aws_control_plane import ACCOUNT
from tests.charts.aws_account import EXPIRED, THROTTLED, Account
from tests.charts.aws_operator import ROOT, Operator
from tests.charts.rendering import render, values_of
from tests.charts.stack_states import OUTPUTS
from tests.charts.templates import TEMPLATES, template
from tests.sagemaker_states import Thing

DENIED = ("AccessDenied", "User: me is not authorized to perform: cloudformation:DescribeStacks", 403)
pytestmark = [
    pytest.mark.xdist_group("aws"),  # one emulation for all
    pytest.mark.timeout(400),  # two whole deployments, on a machine that does other things too
]
STACKS = [f"whisper-webui-{kind}" for kind in ("network", "cluster", "app")]


def with_endpoint(account: Account) -> tuple[str, str]:
    """An endpoint of the operator's own, which saves a minute of the test."""
    account.have_endpoint("mine")
    return ("--endpoint", "mine")


def in_order(texts: list[str], *patterns: str) -> bool:
    """Whether each pattern is found, one behind the other."""
    place = 0
    for pattern in patterns:
        while place < len(texts) and not re.search(pattern, texts[place]):
            place += 1
        if place == len(texts):
            return False
    return True


def test_a_fresh_account_gets_everything_and_a_second_run_changes_nothing(
    account: Account, operator: Operator
) -> None:
    first = operator.run("up", answers="yes\n")
    assert first.status == 0, first.said
    assert account.stacks.executed == STACKS
    assert in_order(
        operator.commands(),
        "create-change-set --stack-name whisper-webui-network",
        "create-change-set --stack-name whisper-webui-cluster",
        "kubectl get --raw /readyz",
        "create-change-set --stack-name whisper-webui-app",
        "images.sh .*--tag",
        "docker push .*/whisper-webui-endpoint:latest",
        "helm upgrade --install aws-load-balancer-controller .*vpcId=vpc-made",
        "helm upgrade --install keda ",
        "kubectl apply --namespace whisper-webui",
        "secretsmanager create-secret",
        "helm upgrade --install whisper-webui .*values-small.yaml",
        "helm test whisper-webui",
    )
    endpoint = account.plane.sagemaker.endpoints["whisper-webui-endpoint"]
    assert endpoint.status == "InService"
    assert "whisper-webui-endpoint-component" in account.plane.sagemaker.components
    given = account.stacks.stacks["whisper-webui-cluster"].given
    assert (given["ApiAccessCidrs"], given["NodeCount"]) == ("203.0.113.7/32", "2")
    assert "user: admin" in first.err
    assert "get-secret-value --region eu-west-1 --secret-id whisper-webui-credentials-1a2b" in first.err

    assert render(["values-small.yaml", operator.state / "whisper-webui-eu-west-1/values.yaml"]).of(
        "Deployment"
    )
    keys = operator.cluster.glob("applied-*-nats-keys")
    before = (account.plane.made(), [path.read_text() for path in keys])
    second = operator.run("up", "--yes")
    assert second.status == 0, second.said
    assert account.stacks.executed == STACKS
    assert second.err.count(": no change") == 3
    keys = operator.cluster.glob("applied-*-nats-keys")
    assert before == (account.plane.made(), [path.read_text() for path in keys])
    assert sum("images.sh" in command for command in operator.commands()) == 1
    operator.check_no_secret_shows(first, second)


def test_after_each_failure_the_next_run_goes_on(account: Account, operator: Operator) -> None:
    account.stacks.fails["cluster"] = "You've reached your quota for maximum Fleet Requests for this account"
    failed = operator.run("up", "--yes", "--preset", "ha", "--scale-to-zero", "yes")
    assert failed.status == 1
    assert "Broken: You've reached your quota for maximum Fleet Requests" in failed.err
    assert account.stacks.stacks["whisper-webui-cluster"].state == "ROLLBACK_COMPLETE"

    unbuilt = operator.run("up", "--yes", "--image-tag", "1.0", IMAGES="false")
    assert unbuilt.status == 1, "2 would be: not confirmed"
    assert account.stacks.executed == [*STACKS[:2], "delete whisper-webui-cluster", *STACKS[1:]]
    found = re.search(r"run deploy/aws/(images.sh) (.*?) in a checkout", unbuilt.err)
    assert found, unbuilt.err
    elsewhere = operator.run(found[1], "--dry-run", "--allow-dirty", *found[2].split())
    assert elsewhere.status == 0, elsewhere.said
    assert f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/whisper-webui-gateway:1.0" in elsewhere.said

    account.plane.sagemaker.scales_to_zero = False
    refused = operator.run("up", "--yes")
    assert refused.status == 1
    assert "with deploy/aws/up: --scale-to-zero no" in refused.err

    (operator.cluster / "release-whisper-webui").write_text("pending-upgrade")
    again = operator.run("up", "--yes", "--scale-to-zero", "no")
    assert again.status == 0, again.said
    assert account.plane.sagemaker.endpoints["whisper-webui-endpoint"].status == "InService"
    given = account.stacks.stacks["whisper-webui-cluster"].given
    assert (given["NodeCount"], given["NodeInstanceType"]) == ("3", "m6i.xlarge"), "the preset was remembered"
    assert in_order(
        operator.commands(), "helm rollback whisper-webui", "helm upgrade --install whisper-webui "
    )


def test_without_a_yes_nothing_is_made(account: Account, operator: Operator) -> None:
    run = operator.run("up", *with_endpoint(account), answers="no\n")
    assert run.status == 2
    assert "nothing was made or changed" in run.err
    reads = re.compile(r":(Describe|List|Get|Simulate)|eks:/clusters")
    assert [call for call in account.calls if not reads.search(call)] == []


def test_a_network_of_ones_own_is_remembered(account: Account, operator: Operator) -> None:
    stack = account.stacks.settled("whisper-webui-cluster")
    stack.tags = {"whisper-own_vpc": "vpc-1", "whisper-own_subnets": "subnet-a+subnet-b"}
    run = operator.run("up", "--plan")
    assert "network   exists: vpc-1" in run.err


def test_china_gets_its_values_registries_and_arns(account: Account, operator: Operator) -> None:
    nats = values_of(["values.yaml"])["nats"]
    account.plane.push(nats["image"]["repository"], nats["image"]["tag"])
    account.plane.push(nats["reloader"]["image"]["repository"], "of-an-earlier-chart")
    run = operator.run("up", "--yes", "--region", "cn-northwest-1", *with_endpoint(account))
    assert run.status == 0, run.said
    commands = "\n".join(operator.commands())
    assert "natsio/nats-server-config-reloader\n" in run.said.split("or to copy:")[1]
    assert "values-china.yaml" in commands
    controller = "961992271922.dkr.ecr.cn-northwest-1.amazonaws.com.cn/amazon/aws-load-balancer-controller"
    assert f"image.repository={controller}" in commands
    assert f"images.sh --registry {ACCOUNT}.dkr.ecr.cn-northwest-1.amazonaws.com.cn" in commands
    assert "arn:aws:" not in commands
    values = operator.state / "whisper-webui-cn-northwest-1/values.yaml"
    objects = render(["values-small.yaml", "values-china.yaml", values]).objects
    pods = [found["spec"]["template"]["spec"] for found in objects if "template" in found.get("spec", {})]
    images = {container["image"] for pod in pods for container in pod["containers"]}
    assert images
    assert {image.partition("/")[0] for image in images} == {
        f"{ACCOUNT}.dkr.ecr.cn-northwest-1.amazonaws.com.cn"
    }
    assert "ICP filing" in run.err


@pytest.mark.parametrize("preset", ["small", "spot"])
def test_in_china_the_endpoint_stays_on_with_every_preset(
    account: Account, operator: Operator, preset: str
) -> None:
    """Nobody knows whether it scales to zero there."""
    run = operator.run("up", "--plan", "--region", "cn-northwest-1", "--preset", preset)
    assert "new: whisper-webui-endpoint on ml.g4dn.xlarge; costs most" in run.err
    assert "nothing ends by itself but workers, and" in run.err
    asked = operator.run("up", "--plan", "--region", "cn-northwest-1", "--scale-to-zero", "yes")
    assert "none while idle" in asked.err
    assert "nothing ends by itself but workers and the idle endpoint, and" in asked.err


def test_a_plain_run_keeps_what_the_first_was_told(
    account: Account, operator: Operator, tmp_path: Path
) -> None:
    """Whom the address is open to, who scales the endpoint, and whose log groups they are."""
    arn = f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/1"
    (office := tmp_path / "office.yaml").write_text("loadBalancer: {sourceRanges: [10.0.0.0/8]}\n")
    account.client("logs").create_log_group(logGroupName="/aws/eks/second/cluster")
    mine = with_endpoint(account)
    first = operator.run(
        *("up", "--yes", "--name", "second", "--internal", "--certificate-arn", arn, "--values", str(office)),
        *("--alarm-email", "ops@example.org"),
        *mine,
        IDENTITY="irsa",
    )
    assert first.status == 0, first.said
    assert account.client("logs").describe_log_groups()["logGroups"] == []
    app = account.stacks.stacks["second-app"].given
    assert (app["ImagePrefix"], app["MakeEndpointLogs"], app["ScaleToZero"]) == ("second", "no", "no")
    assert (app["AlarmEmail"], app["CertificateArn"]) == ("ops@example.org", arn)
    assert any("second-gateway" in name for name in account.plane.repositories)

    without = operator.run("up", "--yes", "--name", "second")
    assert without.status == 64
    assert "was installed with --values office.yaml" in without.err
    again = operator.run("up", "--yes", "--name", "second", "--values", str(office))
    assert again.status == 0, again.said
    assert again.err.count(": no change") == 3
    assert "mine is InService" in again.err, "the endpoint was remembered, too"
    values = yaml.safe_load((operator.state / "second-eu-west-1/values.yaml").read_text())
    assert values["loadBalancer"]["scheme"] == "internal"
    assert values["image"]["repository"] == "second"

    operator.show(statefulset="statefulset.apps/whisper-webui-nats")
    more = operator.run("up", "--yes", "--name", "second", "--values", str(office), "--preset", "ha")
    assert more.status == 64
    assert "NATS with 1 of its servers cannot take up the streams of 3" in more.err


def test_an_endpoint_that_scales_to_zero_is_known_by_its_component(
    account: Account, operator: Operator
) -> None:
    account.stacks.settled("whisper-webui-app").tags = {
        "whisper-preset": "ha",
        "whisper-scale_to_zero": "yes",
    }
    assert "none while idle" in operator.run("up", "--plan").err, "before there is one it is remembered"
    account.have_endpoint("mine")
    account.plane.sagemaker.components["mine-component"] = Thing(
        {"EndpointName": "mine", "Specification": {}}, "arn:aws:component/mine"
    )
    refused = operator.run("up", "--plan", "--endpoint", "mine", "--scale-to-zero", "no")
    assert refused.status == 64
    assert "mine exists and was made with yes" in refused.err


def test_images_are_asked_for_with_options_that_there_are(account: Account, operator: Operator) -> None:
    """The deployments here have a stand-in for it, as it builds for minutes and wants a clean checkout."""
    text = (ROOT / "deploy/aws/up").read_text()
    found = re.search(r'"\$\{IMAGES:-\$HERE/images.sh\}" ([^\\\n]*)', text)
    assert found
    registry = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
    given = found[1].replace('"$registry"', registry).replace('"$NAME"', "second").split()
    given = ["1.0" if option == '"$IMAGE_TAG"' else option for option in given]
    run = operator.run("images.sh", "--dry-run", "--allow-dirty", *given)
    assert run.status == 0, run.said
    assert f"{registry}/second-gateway:1.0" in run.said


def test_interrupted_it_says_how_to_go_on(account: Account, operator: Operator) -> None:
    run = operator.run("up", "--yes", *with_endpoint(account), STOP_AT="execute-change-set")
    assert run.status == 130
    assert "Run the same command again" in run.err


@pytest.mark.parametrize(
    ("fault", "times", "status", "said"),
    [
        (THROTTLED, 2, 0, "new: VPC"),
        (THROTTLED, 9, 1, "AWS throttles this account after 3 tries"),
        (EXPIRED, 9, 1, "the AWS credentials have expired or are not valid. Log in again"),
        (DENIED, 9, 1, "docs/deploy.md lists the rights that you need"),
    ],
    ids=["throttled", "throttled for long", "expired", "denied"],
)
def test_what_aws_refuses_is_named(
    account: Account, operator: Operator, fault: tuple[str, str, int], times: int, status: int, said: str
) -> None:
    account.refuse("cloudformation", "DescribeStacks", fault, times)
    run = operator.run("up", "--plan")
    assert run.status == status, run.said
    assert said in run.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--preset", "huge"), "--preset 'huge' is none of small, ha, spot, china"),
        (("--vpc", "vpc-1"), "--vpc and --subnets go together"),
        (("--name", "My_Name"), "--name 'My_Name'"),
        (("--wrong", "1"), "there is no option --wrong"),
        (("--region", "cn-north-1", "--certificate-arn", "arn:aws:acm:x"), "arn:aws-cn:acm"),
        (("--alarm-email", "ops"), "--alarm-email 'ops' is no e-mail address"),
        (("--domain", "speech.example.org"), "aws acm request-certificate --domain-name speech.example.org"),
        (("--endpoint", "nowhere"), "there is no endpoint nowhere in eu-west-1"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_cannot_work_is_refused_at_once(
    account: Account, operator: Operator, arguments: tuple[str, ...], said: str
) -> None:
    run = operator.run("up", "--plan", *arguments)
    assert run.status in (1, 64)
    assert said in run.err
    assert not account.stacks.stacks


@pytest.mark.parametrize("kind", OUTPUTS)
def test_the_templates_print_what_up_reads(kind: str) -> None:
    """What the emulation gives instead of them has no other names."""
    assert OUTPUTS[kind].keys() <= template(kind)["Outputs"].keys()
    assert (TEMPLATES / f"{kind}.yaml").stat().st_size <= 51_200, (
        "CloudFormation takes no more without a bucket"
    )


def test_every_needed_output_is_emulated() -> None:
    asked = {
        (kind, key)
        for path in Path(ROOT / "deploy/aws").iterdir()
        if path.is_file()
        for kind, key in re.findall(r'output "\$NAME-(\w+)" (\w+)', path.read_text())
    }
    assert {(kind, key) for kind in OUTPUTS for key in OUTPUTS[kind]} >= asked
