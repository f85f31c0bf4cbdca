"""deploy/aws/doctor: everything well, and every fault that it is there to find."""

import datetime
import json
import subprocess
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.provision.authorization import new_seed
from tests.charts.aws_account import EXPIRED, PASSWORD, Account
from tests.charts.aws_operator import Operator, Run
from tests.charts.stack_states import OUTPUTS

pytestmark = pytest.mark.xdist_group("aws")  # one emulation for all
SERVICES = ("gateway", "auth", "chunker", "transcriber", "provision")
APP = "whisper-webui-app"


def found(run: Run) -> dict[str, dict[str, str]]:
    """Results by check."""
    return {one["check"]: one for one in json.loads(run.out)}


def certificate(account: Account, days: int) -> str:
    """ARN of a certificate in ACM that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "speech.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    text = made.public_bytes(serialization.Encoding.PEM)
    answer = account.client("acm").import_certificate(Certificate=text, PrivateKey=private)
    arn: str = answer["CertificateArn"]
    return arn


def subnets(account: Account, zones: tuple[str, ...], *, tagged: bool) -> list[str]:
    """Ids of subnets in a new VPC."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    made = []
    for number, zone in enumerate(zones):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)
        made.append(subnet["Subnet"]["SubnetId"])
    if tagged:
        for role, names in (("elb", made[:1]), ("internal-elb", made)):
            ec2.create_tags(Resources=names, Tags=[{"Key": f"kubernetes.io/role/{role}", "Value": "1"}])
    return made


def have_deployment(account: Account, operator: Operator, arn: str = "") -> None:
    """What `up` leaves behind."""
    for kind in OUTPUTS:
        stack = account.stacks.settled(f"whisper-webui-{kind}", Name="whisper-webui")
        stack.tags = {
            "whisper-endpoint": "whisper-webui-endpoint",
            **({"whisper-certificate": arn} if arn else {}),
        }
    made = subnets(account, ("eu-west-1a", "eu-west-1b", "eu-west-1c"), tagged=True)
    account.stacks.outputs["network"]["PrivateSubnetIds"] = ",".join(made)
    account.cluster = "ACTIVE"
    account.have_endpoint("whisper-webui-endpoint")
    for service in SERVICES:
        account.plane.push(f"whisper-webui-{service}", "1.0")
    put_accounts(account, {"admin": PASSWORD})
    keys = {"stringData": {role: new_seed() for role in SERVICES}}
    (operator.cluster / "applied-whisper-webui-nats-keys").write_text(json.dumps(keys, indent=2))
    (operator.cluster / "release-whisper-webui").write_text("deployed")


def tree(operator: Operator) -> dict[str, str]:
    """What makes git take a new working tree without changes for the project's."""
    folder = operator.home / "tree"
    environ = {"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(folder)}
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    person = ("-c", "user.name=Operator", "-c", "user.email=operator@example.org")
    subprocess.run(
        ["git", *person, "commit", "--quiet", "--allow-empty", "--message=All"],
        env={**operator.environ, **environ},
        check=True,
    )
    return environ


def put_accounts(account: Account, value: Any) -> None:
    """The accounts' secret."""
    account.client("secretsmanager").create_secret(
        Name="whisper-webui-credentials-1a2b", SecretString=json.dumps(value)
    )


def test_of_a_good_deployment_everything_is_well(account: Account, operator: Operator) -> None:
    have_deployment(account, operator, certificate(account, days=200))
    run = operator.run("doctor", "--json", **tree(operator))
    results = found(run)
    # The command line in the tests is version 1, which can be had as a package of Python.
    not_well = {name: one for name, one in results.items() if one["state"] != "PASS" and name != "tool aws"}
    assert not not_well
    assert run.status == 1
    assert results.keys() >= {
        "credentials",
        "rights",
        "quota vCPU",
        "quota endpoint",
        "subnets",
        "cluster",
        "nodes",
    }
    assert results.keys() >= {
        "KEDA CRDs",
        "NATS keys",
        "release",
        "images",
        "accounts",
        "endpoint",
        "certificate",
    }
    assert PASSWORD not in run.said
    assert account.plane.made() == []


def test_in_a_broken_deployment_every_fault_is_found(account: Account, operator: Operator) -> None:
    have_deployment(account, operator, certificate(account, days=5))
    account.stacks.settled(APP, "UPDATE_ROLLBACK_FAILED", Name="whisper-webui").tags = account.stacks.stacks[
        "whisper-webui-cluster"
    ].tags
    account.stacks.stacks[APP].events.append(("Key", "UPDATE_FAILED", "the key policy locks you out"))
    made = subnets(account, ("eu-west-1a",), tagged=False)
    account.stacks.outputs["network"]["PrivateSubnetIds"] = made[0]
    account.have_endpoint(
        "whisper-webui-endpoint", "Failed", "the primary container did not pass the ping health check"
    )
    account.plane.repositories["whisper-webui-auth"] = {}
    account.client("secretsmanager").put_secret_value(
        SecretId="whisper-webui-credentials-1a2b",
        SecretString=json.dumps({"admin": {"password_hash": PASSWORD}}),
    )
    account.stacks.stacks[APP].state = "UPDATE_ROLLBACK_COMPLETE"
    operator.show(nodes="ip-1 Ready\nip-2 NotReady\n", storageclass="gp2=kubernetes.io/aws-ebs ")
    for name in ("crd-scaledobjects.keda.sh", "ready-aws-load-balancer-controller"):
        (operator.cluster / name).unlink()
    (operator.cluster / "applied-whisper-webui-nats-keys").write_text('{\n  "auth": "SUA"\n}')
    (operator.cluster / "release-whisper-webui").write_text("pending-upgrade")
    run = operator.run("doctor", "--json")
    results = found(run)
    assert run.status == 2
    expected = {
        "subnets": "are in one zone",
        "tag elb": "has the tag kubernetes.io/role/elb",
        "nodes": "not ready: ip-2",
        "load balancers": "has none ready",
        "KEDA CRDs": "nothing scales",
        "storage class": "ebs.csi.aws.com",
        "NATS keys": "lacks gateway chunker transcriber provision",
        "release": "pending-upgrade",
        "images": "auth (no image)",
        "accounts": "'admin' has neither a password nor an argon2id password_hash",
        "endpoint": "Failed: the primary container did not pass the ping health check",
        "certificate": "ends in 5 days",
    }
    for check, said in expected.items():
        assert results[check]["state"] == "FAIL", check
        assert said in results[check]["said"]
        assert results[check]["fix"]
    assert PASSWORD not in run.said


def test_another_deployment_whose_name_begins_alike_is_not_looked_at(
    account: Account, operator: Operator
) -> None:
    """CloudFormation names the newest stacks first."""
    other = account.stacks.settled("whisper-webui-trial-app", Name="whisper-webui-trial")
    other.tags = {"whisper-endpoint": "whisper-webui-trial-endpoint", "whisper-certificate": "arn:none"}
    have_deployment(account, operator)
    results = found(operator.run("doctor", "--json"))
    assert results["endpoint"]["said"] == "whisper-webui-endpoint is InService"
    assert "certificate" not in results


def test_before_up_what_would_fail_later_is_found(account: Account, operator: Operator) -> None:
    account.denied = ["eks:CreateCluster", "iam:PassRole"]
    account.quotas |= {"L-1216C47A": 2.0, "L-F678F1CE": 1.0}
    del account.quotas["L-0263D0A3"]
    account.plane.quotas = {"ml.g4dn.xlarge": 0.0}
    account.refuse(
        "sagemaker", "ListEndpoints", ("AccessDeniedException", "not authorized to perform: it", 400), 9
    )
    subnets(account, (), tagged=False)
    run = operator.run("doctor", "--before-up", "--json", PYTHON="/nowhere/python")
    results = found(run)
    assert run.status == 2
    assert "eks:CreateCluster iam:PassRole" in results["rights"]["said"]
    assert results["quota vCPU"]["said"] == "is 2, and 4 are needed"
    assert "2 of 1 are in use" in results["quota VPC"]["said"]
    assert results["quota address"]["state"] == "WARN"
    assert "is 0" in results["quota endpoint"]["said"]
    assert results["service sagemaker"]["state"] == "FAIL"
    assert "/nowhere/python is missing" in results["project Python"]["said"]
    assert "cluster" not in results


@pytest.mark.parametrize(
    ("refused", "said"),
    [("buildx version", "has no buildx"), ("info", "daemon cannot be reached")],
)
def test_an_image_builder_that_cannot_build_is_found(operator: Operator, refused: str, said: str) -> None:
    results = found(operator.run("doctor", "--before-up", "--json", DOCKER_REFUSES=refused))
    assert results["image builder"]["state"] == "WARN"
    assert said in results["image builder"]["said"]


def test_before_up_china_is_told_of_the_image_that_needs_mirrors(
    account: Account, operator: Operator
) -> None:
    before = ("doctor", "--before-up", "--json", "--region", "cn-northwest-1")
    missing = found(operator.run(*before))["image endpoint"]
    assert missing["state"] == "WARN"
    assert "--name whisper-webui-endpoint" in missing["fix"]
    assert "image endpoint" not in found(operator.run(*before, "--endpoint", "mine"))
    account.plane.push("whisper-webui-endpoint")
    assert found(operator.run(*before))["image endpoint"]["state"] == "PASS"


def test_a_preset_that_there_is_not_is_refused(operator: Operator) -> None:
    run = operator.run("doctor", "--before-up", "--preset", "huge")
    assert run.status == 64
    assert "--preset 'huge' is none of small, ha, spot, china" in run.err


def test_changes_after_which_images_could_not_be_named_are_found(operator: Operator) -> None:
    environ = tree(operator)
    (operator.home / "tree" / "new.py").touch()
    results = found(operator.run("doctor", "--before-up", "--json", **environ))
    assert results["working tree"]["state"] == "WARN"
    assert "not committed (1 files)" in results["working tree"]["said"]


@pytest.mark.parametrize(
    ("environ", "region", "said"),
    [
        ({}, "cn-north-1", "credentials are of the partition aws"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "eu-west-1", "there are no AWS credentials"),
        ({}, "eu-west-1", "the AWS credentials have expired"),
    ],
    ids=["of another partition", "missing", "expired"],
)
def test_credentials_that_cannot_work(
    account: Account, operator: Operator, environ: dict[str, str], region: str, said: str
) -> None:
    account.partition = "aws"
    if "expired" in said:
        account.refuse("sts", "*", EXPIRED, 9)
    run = operator.run("doctor", "--region", region, **environ)
    assert run.status == 2
    assert " ".join(said.split()) in " ".join(run.out.split())
