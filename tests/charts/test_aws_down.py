"""deploy/aws/down: what goes, in which order, and what is kept."""

import pytest

from tests.charts.aws_account import PASSWORD, Account
from tests.charts.aws_operator import Operator
from tests.charts.test_aws_doctor import have_deployment

pytestmark = pytest.mark.xdist_group("aws")  # one emulation for all
GONE = [f"delete whisper-webui-{kind}" for kind in ("app", "cluster", "network")]


def with_volume(account: Account, operator: Operator) -> str:
    """A volume of NATS, and a load balancer's service."""
    made = account.client("ec2").create_volume(AvailabilityZone="eu-west-1a", Size=10)
    volume: str = made["VolumeId"]
    operator.show(volumes=f"pvc-1 {volume}\n", services="whisper-webui whisper-webui-public\n")
    return volume


def test_data_are_kept_and_a_second_run_finds_nothing(account: Account, operator: Operator) -> None:
    have_deployment(account, operator)
    volume = with_volume(account, operator)
    first = operator.run("down", answers="whisper-webui\n")
    assert first.status == 0, first.said
    assert account.stacks.executed == GONE
    assert "whisper-webui-endpoint" not in account.plane.sagemaker.endpoints
    commands = operator.commands()
    order = [
        next(number for number, command in enumerate(commands) if part in command)
        for part in (
            "sagemaker describe-endpoint",
            "patch persistentvolume pvc-1",
            "helm uninstall whisper-webui ",
            "delete service whisper-webui-public",
            "delete-stack --stack-name whisper-webui-app",
        )
    ]
    assert order == sorted(order)
    assert not any("delete persistentvolumeclaim" in command for command in commands)
    [kept] = account.client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
    assert kept["Tags"] == [{"Key": "whisper-kept", "Value": "whisper-webui"}]
    secret = account.client("secretsmanager").get_secret_value(SecretId="whisper-webui-credentials-1a2b")
    assert PASSWORD in secret["SecretString"]

    second = operator.run("down")
    assert second.status == 0
    assert "there is no deployment whisper-webui in eu-west-1" in second.err
    assert account.stacks.executed == GONE


def test_another_name_deletes_nothing(account: Account, operator: Operator) -> None:
    have_deployment(account, operator)
    run = operator.run("down", answers="whisper\n")
    assert run.status == 2
    assert account.stacks.executed == []
    assert account.plane.made() == []
    assert "This goes from eu-west-1" in run.err


def test_what_holds_the_network_back_is_named(account: Account, operator: Operator) -> None:
    have_deployment(account, operator)
    account.stacks.cannot_be_deleted["network"] = "The vpc 'vpc-made' has dependencies and cannot be deleted."
    failed = operator.run("down", "--yes")
    assert failed.status == 1
    assert "Vpc: The vpc 'vpc-made' has dependencies and cannot be deleted" in failed.err
    account.stacks.cannot_be_deleted.clear()
    again = operator.run("down", "--yes")
    assert again.status == 0, again.said
    assert not account.stacks.stacks


def test_from_another_address_it_says_how_to_reach_the_cluster(account: Account, operator: Operator) -> None:
    have_deployment(account, operator)
    operator.show(unreachable="")
    run = operator.run("down", "--yes")
    assert run.status == 1
    assert (
        "aws eks update-cluster-config --region eu-west-1 --name whisper-webui "
        "--resources-vpc-config publicAccessCidrs=YOUR_ADDRESS/32" in run.err
    )
    assert "deploy/aws/up" not in run.err, "which would make the endpoint again"
    assert account.stacks.stacks, "and nothing is left behind"


def test_data_go_when_asked_for(account: Account, operator: Operator) -> None:
    have_deployment(account, operator)
    volume = with_volume(account, operator)
    account.client("ec2").create_tags(
        Resources=[volume], Tags=[{"Key": "whisper-kept", "Value": "whisper-webui"}]
    )
    account.client("s3").create_bucket(
        Bucket="whisper-webui-models", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    account.client("s3").put_bucket_versioning(
        Bucket="whisper-webui-models", VersioningConfiguration={"Status": "Enabled"}
    )
    for body in (b"model", b"a newer one"):
        account.client("s3").put_object(Bucket="whisper-webui-models", Key="model.tar.gz", Body=body)
    run = operator.run("down", "--yes", "--delete-data")
    assert run.status == 0, run.said
    assert any("delete persistentvolumeclaim --all" in command for command in operator.commands())
    described = account.client("secretsmanager").describe_secret(SecretId="whisper-webui-credentials-1a2b")
    assert "DeletedDate" in described
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert account.client("ec2").describe_volumes()["Volumes"] == []


def test_data_that_an_earlier_run_has_kept_go_when_asked_for(account: Account, operator: Operator) -> None:
    """The stack is gone and tells nothing any more; what it made still has its name as a tag."""
    have_deployment(account, operator)
    secrets, s3, kms = (account.client(name) for name in ("secretsmanager", "s3", "kms"))
    stack = {"Key": "aws:cloudformation:stack-name", "Value": "whisper-webui-app"}
    kept = secrets.create_secret(Name="whisper-webui-credentials-9z8y", SecretString="{}", Tags=[stack])
    other = secrets.create_secret(
        Name="others-credentials", SecretString="{}", Tags=[{**stack, "Value": "others-app"}]
    )
    key = kms.create_key(Tags=[{"TagKey": stack["Key"], "TagValue": stack["Value"]}])["KeyMetadata"]["KeyId"]
    assert operator.run("down", "--yes").status == 0
    assert not account.stacks.stacks

    run = operator.run("down", "--yes", "--delete-data")

    assert run.status == 0, run.said
    assert "DeletedDate" in secrets.describe_secret(SecretId=kept["ARN"])
    assert "DeletedDate" not in secrets.describe_secret(SecretId=other["ARN"])
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert "no bucket of models was found" in run.said
    assert s3.list_buckets()["Buckets"] == []
