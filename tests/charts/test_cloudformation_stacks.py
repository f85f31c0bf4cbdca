"""The stacks, created in a stand-in for AWS, global and China: outputs, secrets, and rights."""

import fnmatch
import json
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from services.auth.accounts import parse
from services.auth.keys import KeyStore
from services.auth.passwords import hashed
from services.auth.secrets import open_secrets
from tests.charts.aws_calls import actions, methods_called, secret_actions
from tests.charts.cloud import PARTITIONS, Cloud, Made, Stack, clouds, listed, make, session_tags
from tests.charts.rendering import render, values_of
from tests.charts.templates import ROOT

ROLES = {
    "network": {"FlowLogRole"},
    "cluster": {"ClusterRole", "NodeRole", "VpcCniRole", "EbsCsiRole", "LoadBalancerControllerRole"},
    "app": {"AuthRole", "TranscriberRole", "EndpointRole"},
}
EVERYWHERE = {
    "ecr:GetAuthorizationToken": "has no resource",
    "cloudwatch:PutMetricData": "has no resource; bound to SageMaker's namespaces",
}
"""Actions of our own roles that AWS grants on "*" only, and why that is all right."""
SERVICES_OF_ACTIONS = {
    "elasticloadbalancing": "elbv2",
    "ec2": "ec2",
    "cognito-idp": "cognito-idp",
    "acm": "acm",
    "iam": "iam",
    "waf-regional": "waf-regional",
    "wafv2": "wafv2",
    "shield": "shield",
}
"""Those that the load balancer controller's rights are about, as botocore names them."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The stand-in."""
    with clouds() as running:
        yield running


@pytest.fixture(scope="module", params=PARTITIONS)
def made(url: str, request: pytest.FixtureRequest) -> Made:
    """Everything with as few parameters as possible, in each region."""
    return make(Cloud(url, request.param))


@pytest.fixture(scope="module")
def china(url: str) -> Cloud:
    """A China region for stacks of other parameters."""
    return Cloud(url, "cn-northwest-1")


def test_the_stacks_are_created(made: Made) -> None:
    assert {stack.status for stack in made.stacks().values()} == {"CREATE_COMPLETE"}


def test_outputs_belong_to_the_partition(made: Made) -> None:
    partition = made.cloud.partition
    outputs = made.cluster.outputs | made.app.outputs
    arns = {name: value for name, value in outputs.items() if name.endswith("Arn")}
    assert arns
    assert {value.split(":")[1] for value in arns.values()} == {partition}
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    assert made.app.outputs["RegistryUri"] == f"123456789012.dkr.ecr.{made.cloud.region}.{suffix}"


def test_the_first_password_is_an_account(made: Made) -> None:
    secret = made.cloud.client("secretsmanager").get_secret_value(
        SecretId=made.app.outputs["CredentialsSecretName"], VersionStage="AWSCURRENT"
    )
    accounts = parse(secret["SecretString"])
    assert list(accounts) == ["admin"]
    assert len(accounts["admin"].password or "") == 32
    assert accounts["admin"].roles == (), "a generated password has no place for roles"


def test_the_first_account_becomes_an_administrator(made: Made) -> None:
    """What docs/security.md says to do with the generated password."""
    secrets = made.cloud.client("secretsmanager")
    name = made.app.outputs["CredentialsSecretName"]
    given = parse(secrets.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"])
    entry = {"password_hash": hashed(given["admin"].password or ""), "roles": ["admin"]}
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps({"admin": entry}))
    accounts = parse(secrets.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"])
    assert accounts["admin"].roles == ("admin",)
    before = secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"]
    secrets.put_secret_value(SecretId=name, SecretString=before)


async def test_auth_creates_the_signing_secret_that_its_role_names(made: Made, url: str) -> None:
    name = made.app.outputs["SigningSecretName"]
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    async with open_secrets(made.cloud.region, endpoint_url=url, **keys) as secrets:
        store = KeyStore(secrets, name, keep_seconds=1)
        await store.prepare()
        await store.rotate()
    arn = made.cloud.client("secretsmanager").describe_secret(SecretId=name)["ARN"]
    for statement in made.app.statements("AuthRole"):
        if "Signing" in statement["Sid"]:
            assert fnmatch.fnmatchcase(arn, statement["Resource"]), statement["Sid"]
            longer = fnmatch.fnmatchcase(arn.replace("-key-", "-key-of-others-"), statement["Resource"])
            bound = {"StringEquals": {"secretsmanager:Name": name}}
            assert not longer or statement["Condition"] == bound, statement["Sid"]


def test_auth_may_do_what_its_code_does(made: Made) -> None:
    signing = made.app.outputs["SigningSecretName"]
    prefix = f"arn:{made.cloud.partition}:secretsmanager:{made.cloud.region}:123456789012:secret:"
    accounts = made.cloud.client("secretsmanager").describe_secret(
        SecretId=made.app.outputs["CredentialsSecretName"]
    )
    keeping = secret_actions("services/auth/keys.py")
    creating = {"secretsmanager:CreateSecret"}
    assert made.app.granted("AuthRole") == {
        accounts["ARN"]: secret_actions("services/auth/accounts.py"),
        f"{prefix}{signing}-??????": keeping - creating,
        f"{prefix}{signing}*": keeping & creating,
        made.app.outputs["KeyArn"]: {"kms:Decrypt"},  # the accounts are encrypted with it
    }


def test_the_transcriber_may_call_one_endpoint(made: Made) -> None:
    calls = set().union(*methods_called("services/transcriber/endpoint.py", "_client").values())
    arn = f"arn:{made.cloud.partition}:sagemaker:{made.cloud.region}:123456789012:endpoint/"
    assert made.app.granted("TranscriberRole") == {f"{arn}whisper-endpoint": actions("sagemaker", calls)}


def test_no_other_service_calls_aws() -> None:
    """Whichever does needs a role of its own first."""
    calling = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "services").rglob("*.py")
        if "create_client(" in path.read_text() and "dev" not in path.parts
    }
    assert calling == {"services/auth/secrets.py", "services/transcriber/endpoint.py"}


def test_the_endpoint_may_do_what_its_page_says(made: Made) -> None:
    """docs/deploy-endpoint.md lists what a role of one's own needs."""
    page = (ROOT / "docs/deploy-endpoint.md").read_text()
    role = page[page.index("### The role") : page.index("### Your own rights")]
    allowed = {action for found in made.app.granted("EndpointRole").values() for action in found}
    lacking = {action for action in allowed if action not in role}
    assert lacking == {"kms:Decrypt"}, "our bucket is encrypted with a key, others need not be"
    documented = {f"{service}:{name}" for service, name in _named(role)}
    assert documented <= allowed


def _named(text: str) -> Iterator[tuple[str, str]]:
    for word in text.replace('"', " ").replace("`", " ").replace(",", " ").split():
        service, _, name = word.partition(":")
        if service in ("ecr", "logs", "cloudwatch", "s3") and name[:1].isupper():
            yield service, name


def test_nothing_is_granted_on_everything_without_a_reason(made: Made) -> None:
    for name, stack in made.stacks().items():
        for role in ROLES[name] - {"LoadBalancerControllerRole"}:
            wide = stack.granted(role).get("*", set())
            assert wide <= EVERYWHERE.keys(), f"{role}: {wide - EVERYWHERE.keys()}"
            for resource, allowed in stack.granted(role).items():
                assert not [action for action in allowed if "*" in action], f"{role} on {resource}"


def test_the_roles_are_these(made: Made) -> None:
    for name, stack in made.stacks().items():
        assert stack.roles.keys() == ROLES[name]


def test_iam_takes_every_policy(made: Made) -> None:
    """moto checks the grammar of policies as IAM does."""
    iam = made.cloud.client("iam")
    for name, stack in made.stacks().items():
        for role in ROLES[name]:
            if statements := stack.statements(role):
                document = json.dumps({"Version": "2012-10-17", "Statement": statements})
                policy = iam.create_policy(PolicyName=f"{made.cloud.region}-{role}", PolicyDocument=document)
                iam.delete_policy(PolicyArn=policy["Policy"]["Arn"])


def test_the_load_balancer_controllers_actions_exist(made: Made) -> None:
    session = botocore.session.Session()
    for resource, allowed in made.cluster.granted("LoadBalancerControllerRole").items():
        assert resource == "*" or resource.split(":")[1] == made.cloud.partition
        for action in allowed:
            service, name = action.split(":")
            known = session.get_service_model(SERVICES_OF_ACTIONS[service]).operation_names
            assert name in known or action == "elasticloadbalancing:SetWebAcl", (
                action
            )  # a right without a call


def test_the_load_balancer_controller_changes_what_is_its_own(made: Made) -> None:
    """Whatever it may change on "*" is bound to its tags or to the VPC, but for what has no tag yet."""
    unbound = {
        action
        for statement in made.cluster.statements("LoadBalancerControllerRole")
        if statement["Resource"] == "*" and not statement.get("Condition")
        for action in listed(statement["Action"])
        if not action.split(":")[1].startswith(("Describe", "Get", "List"))
    }
    assert unbound == {
        "ec2:CreateSecurityGroup",
        *(
            f"elasticloadbalancing:{verb}{what}"
            for verb in ("Create", "Delete")
            for what in ("Listener", "Rule")
        ),
        *(f"elasticloadbalancing:{verb}ListenerCertificates" for verb in ("Add", "Remove")),
        *(
            f"elasticloadbalancing:{name}"
            for name in ("ModifyListener", "ModifyRule", "SetRulePriorities", "SetWebAcl")
        ),
        *(
            f"waf{kind}:{verb}WebACL"
            for kind in ("-regional", "v2")
            for verb in ("Associate", "Disassociate")
        ),
        *(f"shield:{verb}Protection" for verb in ("Create", "Delete")),
    }, "what the controller's own documentation leaves open, and nothing more"


@pytest.mark.parametrize("service", ["auth", "transcriber"])
def test_one_service_account_of_one_cluster_has_the_role(made: Made, service: str) -> None:
    (association,) = (
        found
        for found in made.app.recorded("AWS::EKS::PodIdentityAssociation").values()
        if found["ServiceAccount"] == f"whisper-webui-{service}"
    )
    role = f"{service.title()}Role"
    assert association["RoleArn"] == made.app.outputs[f"{role}Arn"]
    assert association["Namespace"] == "whisper-webui"
    (statement,) = made.app.trust(role)["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    partition = made.cloud.partition
    assert session_tags(statement) == {
        "eks-cluster-arn": f"arn:{partition}:eks:{made.cloud.region}:123456789012:cluster/whisper-webui",
        "kubernetes-namespace": "whisper-webui",
        "kubernetes-service-account": f"whisper-webui-{service}",
    }


@pytest.mark.parametrize(
    ("role", "account"),
    [
        ("VpcCniRole", "aws-node"),
        ("EbsCsiRole", "ebs-csi-controller-sa"),
        ("LoadBalancerControllerRole", "aws-load-balancer-controller"),
    ],
)
def test_the_clusters_own_accounts_have_their_roles(made: Made, role: str, account: str) -> None:
    (statement,) = made.cluster.trust(role)["Statement"]
    tags = session_tags(statement)
    assert (tags["kubernetes-namespace"], tags["kubernetes-service-account"]) == ("kube-system", account)
    addons = made.cluster.recorded("AWS::EKS::Addon").values()
    of_addons = [one for addon in addons for one in addon.get("PodIdentityAssociations", [])]
    standing = made.cluster.recorded("AWS::EKS::PodIdentityAssociation").values()
    assert account in {one["ServiceAccount"] for one in (*of_addons, *standing)}


def test_the_api_is_closed_to_the_outside_by_default(made: Made) -> None:
    (cluster,) = made.cluster.recorded("AWS::EKS::Cluster").values()
    network = cluster["ResourcesVpcConfig"]
    assert (network["EndpointPrivateAccess"], network["EndpointPublicAccess"]) == (True, False)
    assert "PublicAccessCidrs" not in network


def cluster_with(cloud: Cloud, name: str, **parameters: str) -> Stack:
    return cloud.create(name, "cluster", VpcId="vpc-1", PrivateSubnetIds="subnet-1,subnet-2", **parameters)


def test_the_api_opens_to_whom_is_named(china: Cloud) -> None:
    stack = cluster_with(china, "opened", Name="opened", ApiAccessCidrs="203.0.113.7/32,198.51.100.0/24")
    (cluster,) = stack.recorded("AWS::EKS::Cluster").values()
    network = cluster["ResourcesVpcConfig"]
    assert network["EndpointPublicAccess"] is True
    assert network["PublicAccessCidrs"] == ["203.0.113.7/32", "198.51.100.0/24"]


def test_spot_nodes_take_what_the_chart_sends_there(china: Cloud) -> None:
    stack = cluster_with(china, "spot", Name="spot", SpotInstanceTypes="t3.large,t3a.large")
    groups = {one["CapacityType"]: one for one in stack.recorded("AWS::EKS::Nodegroup").values()}
    assert "Taints" not in groups["ON_DEMAND"]
    [taint] = groups["SPOT"]["Taints"]
    services = values_of(["values-spot.yaml"])["services"]
    for name, service in services.items():
        label = "eks.amazonaws.com/capacityType"  # which EKS sets by itself
        tolerated = {(one["key"], one["effect"]) for one in service.get("tolerations", [])}
        if service["nodeSelector"] == {label: "SPOT"}:
            assert (taint["Key"], "NoSchedule") in tolerated, name
        else:
            assert service["nodeSelector"] == {label: "ON_DEMAND"}, name
            assert not tolerated, name
    assert {"chunker", "transcriber"} <= services.keys()


def test_the_roles_are_for_the_charts_service_accounts(made: Made) -> None:
    accounts = render(name="whisper-webui").of("ServiceAccount")
    associations = made.app.recorded("AWS::EKS::PodIdentityAssociation").values()
    assert {one["ServiceAccount"] for one in associations} <= accounts.keys()


def test_irsa_takes_the_place_of_pod_identity(china: Cloud) -> None:
    cluster = cluster_with(china, "irsa-cluster", Name="irsa", Identity="irsa")
    assert cluster.recorded("AWS::IAM::OIDCProvider")
    assert not cluster.recorded("AWS::EKS::PodIdentityAssociation")
    addons = {one["AddonName"]: one for one in cluster.recorded("AWS::EKS::Addon").values()}
    assert "eks-pod-identity-agent" not in addons
    assert addons["aws-ebs-csi-driver"]["ServiceAccountRoleArn"] == cluster.outputs["EbsCsiRoleArn"]
    issuer = cluster.outputs["OidcIssuer"]
    app = china.create(
        "irsa-app",
        "app",
        Name="irsa",
        ImagePrefix="irsa",
        EndpointName="irsa",
        Identity="irsa",
        OidcIssuer=issuer,
    )
    assert not app.recorded("AWS::EKS::PodIdentityAssociation")
    for stack, role, account in (
        (app, "AuthRole", "whisper-webui:whisper-webui-auth"),
        (app, "TranscriberRole", "whisper-webui:whisper-webui-transcriber"),
        (cluster, "EbsCsiRole", "kube-system:ebs-csi-controller-sa"),
        (cluster, "VpcCniRole", "kube-system:aws-node"),
        (cluster, "LoadBalancerControllerRole", "kube-system:aws-load-balancer-controller"),
    ):
        (statement,) = stack.trust(role)["Statement"]
        assert statement["Principal"] == {"Federated": f"arn:aws-cn:iam::123456789012:oidc-provider/{issuer}"}
        assert statement["Condition"]["StringEquals"] == {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"system:serviceaccount:{account}",
        }


def test_accounts_of_before_can_be_taken_over(china: Cloud) -> None:
    secrets = china.client("secretsmanager")
    arn = secrets.create_secret(Name="whisper-app-credentials", SecretString='{"ada": "a password"}')["ARN"]
    app = china.create(
        "taken", "app", Name="taken", ImagePrefix="taken", EndpointName="taken", CredentialsSecretArn=arn
    )
    assert app.outputs["CredentialsSecretName"] == arn
    assert app.granted("AuthRole")[arn] == {"secretsmanager:GetSecretValue"}
    assert app.outputs["KeyArn"] not in app.granted("AuthRole")
    names = {secret["Name"] for secret in secrets.list_secrets()["SecretList"]}
    assert not [name for name in names if name.startswith("taken-credentials")]


def test_an_endpoint_that_scales_to_zero_is_watched_by_its_component(china: Cloud) -> None:
    app = china.create(
        "zero",
        "app",
        Name="zero",
        ImagePrefix="zero",
        EndpointName="zero",
        ScaleToZero="yes",
        AlarmEmail="o@example.cn",
    )
    assert {arn.split(":")[-1] for arn in app.granted("TranscriberRole")} == {
        "endpoint/zero",
        "inference-component/zero-component",
    }
    alarms = app.recorded("AWS::CloudWatch::Alarm")
    assert alarms["EndpointErrors"]["Dimensions"] == [
        {"Name": "InferenceComponentName", "Value": "zero-component"}
    ]
    assert "EndpointNotWaking" in alarms
    topics = {action for alarm in alarms.values() for action in alarm["AlarmActions"]}
    assert len(topics) == 1
    assert topics.pop().startswith("arn:aws-cn:sns:")


def test_alarms_of_an_endpoint_that_is_always_on(made: Made) -> None:
    alarms = made.app.recorded("AWS::CloudWatch::Alarm")
    assert alarms.keys() == {"EndpointErrors", "EndpointLatency"}
    assert set(made.app.outputs["EndpointAlarms"].split(",")) == {one["AlarmName"] for one in alarms.values()}
    assert not any("AlarmActions" in alarm for alarm in alarms.values())


def test_a_certificate_that_acm_does_not_renew_is_seen(china: Cloud) -> None:
    arn = f"arn:aws-cn:acm:{china.region}:111122223333:certificate/1"
    app = china.create(
        "named", "app", Name="named", ImagePrefix="named", EndpointName="named", CertificateArn=arn
    )
    alarm = app.recorded("AWS::CloudWatch::Alarm")["CertificateExpires"]
    assert alarm["Dimensions"] == [{"Name": "CertificateArn", "Value": arn}]
    assert (alarm["MetricName"], alarm["ComparisonOperator"]) == ("DaysToExpiry", "LessThanThreshold")


def test_only_the_endpoint_without_charge_is_made_by_default(made: Made) -> None:
    assert made.network.endpoints() == {"S3Endpoint": f"com.amazonaws.{made.cloud.region}.s3"}


def test_china_names_its_endpoints_differently(china: Cloud) -> None:
    zones = "cn-northwest-1a,cn-northwest-1b,cn-northwest-1c"
    stack = china.create("whole", "network", Zones=zones, VpcEndpoints="all", NatGateways="per-zone")
    assert stack.endpoints() == {
        "S3Endpoint": "com.amazonaws.cn-northwest-1.s3",
        "EcrApiEndpoint": "cn.com.amazonaws.cn-northwest-1.ecr.api",
        "EcrImageEndpoint": "cn.com.amazonaws.cn-northwest-1.ecr.dkr",
        "SageMakerRuntimeEndpoint": "cn.com.amazonaws.cn-northwest-1.sagemaker.runtime",
        "SecretsManagerEndpoint": "com.amazonaws.cn-northwest-1.secretsmanager",
    }
    ours = [{"Name": "vpc-id", "Values": [stack.outputs["VpcId"]]}]
    gateways = china.client("ec2").describe_nat_gateways(Filters=ours)["NatGateways"]
    assert len({gateway["SubnetId"] for gateway in gateways}) == 3


def test_subnets_are_tagged_for_load_balancers_and_nodes(made: Made) -> None:
    ec2 = made.cloud.client("ec2")
    for kind, role in (("Public", "elb"), ("Private", "internal-elb")):
        ids = made.network.outputs[f"{kind}SubnetIds"].split(",")
        subnets = ec2.describe_subnets(SubnetIds=ids)["Subnets"]
        assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 3
        for subnet in subnets:
            tags = {tag["Key"]: tag["Value"] for tag in subnet["Tags"]}
            assert tags[f"kubernetes.io/role/{role}"] == "1"
            assert tags["kubernetes.io/cluster/whisper-webui"] == "shared"
            assert tags.get("karpenter.sh/discovery") == ("whisper-webui" if kind == "Private" else None)


def test_the_models_are_sent_over_tls_only(made: Made) -> None:
    (policy,) = made.app.recorded("AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    bucket = f"arn:{made.cloud.partition}:s3:::{made.app.outputs['ModelBucket']}"
    assert statement["Resource"] == [bucket, f"{bucket}/*"]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_flow_logs_reach_their_group(made: Made) -> None:
    (log,) = made.cloud.client("ec2").describe_flow_logs()["FlowLogs"]
    assert log["LogGroupName"] == made.network.outputs["FlowLogGroup"]
    assert log["TrafficType"] == "ALL"
    assert Path(log["DeliverLogsPermissionArn"]).name == made.network.roles["FlowLogRole"]
