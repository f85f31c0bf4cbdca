"""AWS as moto plays it over HTTP, made to create whole stacks: types it lacks, and partitions it ignores."""

import contextlib
import functools
import ipaddress
import json
import secrets
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

import botocore.session
import yaml
from botocore.config import Config
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import ThreadedMotoServer
from moto.utilities.utils import get_partition

from tests.charts.templates import TEMPLATES

Properties = dict[str, Any]

RECORDED = (
    "AWS::CloudWatch::Alarm",
    "AWS::EC2::VPCEndpoint",
    "AWS::EKS::AccessEntry",
    "AWS::EKS::Addon",
    "AWS::EKS::Cluster",
    "AWS::EKS::Nodegroup",
    "AWS::EKS::PodIdentityAssociation",
    "AWS::IAM::OIDCProvider",
    "AWS::S3::BucketPolicy",
)
"""Types of which moto has no CloudFormation model, or one that does not know the properties we use."""
PARTITIONS = {"us-east-1": "aws", "cn-northwest-1": "aws-cn"}
"""Of the regions that stacks are created in."""
ISSUER = "https://oidc.eks.region.amazonaws.com/id/0123456789ABCDEF"

recorded: dict[str, dict[str, Properties]] = {}
"""By stack and logical name: type and properties, every intrinsic resolved."""


class _Recorded(CloudFormationModel):
    """Keeps what CloudFormation would have asked for."""

    kind = ""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.physical_resource_id = name
        self._attributes = attributes

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in ("Arn", "Endpoint", "OpenIdConnectIssuerUrl")

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> "_Recorded":
        properties = cloudformation_json.get("Properties", {})
        recorded.setdefault(kwargs["StackId"], {})[kwargs["LogicalId"]] = {"Type": cls.kind, **properties}
        name = properties.get("Name") or properties.get("AlarmName") or resource_name
        service, kind = cls.kind.lower().split("::")[1:]
        arn = f"arn:{get_partition(region_name)}:{service}:{region_name}:{account_id}:{kind}/{name}"
        return cls(name, {"Arn": arn, "Endpoint": "https://api.invalid", "OpenIdConnectIssuerUrl": ISSUER})

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return self._attributes[attribute_name]

    def is_created(self) -> bool:
        return True


class _Secret(CloudFormationModel):
    """A secret in moto's own Secrets Manager, with a generated password."""

    def __init__(self, arn: str) -> None:
        self.physical_resource_id = arn

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SecretsManager::Secret"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003  # as moto calls it
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,  # noqa: ARG003  # as moto calls it
    ) -> "_Secret":
        wanted = cloudformation_json["Properties"]
        generated = wanted["GenerateSecretString"]
        assert generated["ExcludePunctuation"], "the stand-in generates letters and digits only"
        signs = string.ascii_letters + string.digits
        password = "".join(secrets.choice(signs) for _ in range(generated["PasswordLength"]))
        text = json.loads(generated["SecretStringTemplate"]) | {generated["GenerateStringKey"]: password}
        answer = secretsmanager_backends[account_id][region_name].create_secret(
            name=wanted["Name"],
            secret_string=json.dumps(text),
            secret_binary=None,
            description=wanted["Description"],
            tags=[],
            kms_key_id=wanted["KmsKeyId"],
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return cls(json.loads(answer)["ARN"])

    def is_created(self) -> bool:
        return True


def _recorded_type(name: str) -> type[_Recorded]:
    members = {
        "__module__": "moto.cloudformation.recorded",  # moto finds the backend by it
        "kind": name,
        "cloudformation_type": staticmethod(lambda: name),
    }
    # moto looks at direct subclasses only.
    return type(name.replace("::", ""), (CloudFormationModel,), {**vars(_Recorded), **members})


@functools.cache
def _extend() -> None:
    """Once in a process: the types, the partition, Fn::Cidr, and AWS::NoValue in lists."""
    for name in RECORDED:
        _recorded_type(name)
    for cache in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cache.cache_clear()
    plain, begin = parsing.clean_json, parsing.ResourceMap.__init__

    def clean(value: Any, known: Any) -> Any:
        if isinstance(value, list):
            return [one for one in (clean(each, known) for each in value) if one is not None]
        if isinstance(value, dict) and "Fn::Cidr" in value:
            block, count, bits = clean(value["Fn::Cidr"], known)
            subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
            return [str(next(subnets)) for _ in range(int(count))]
        return plain(value, known)

    def begun(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        partition = get_partition(self._region_name)
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        self._parsed_resources |= {"AWS::Partition": partition, "AWS::URLSuffix": suffix}

    parsing.clean_json = clean  # type: ignore[assignment]  # other names of its parameters
    parsing.ResourceMap.__init__ = begun  # type: ignore[method-assign]  # moto says aws everywhere


class Cloud:
    """One region of the stand-in."""

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self.region = region
        self.partition = PARTITIONS[region]
        self._session = botocore.session.Session()
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Made once: reading a service's model takes longer than most tests."""
        if service not in self._clients:
            self._clients[service] = self._session.create_client(
                service,
                self.region,
                endpoint_url=self._url,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
                config=Config(proxies={}),
            )
        return self._clients[service]

    def create(self, name: str, template: str, **parameters: str) -> "Stack":
        """Create a stack of one of our templates, as `aws cloudformation create-stack` would."""
        client = self.client("cloudformation")
        client.create_stack(
            StackName=name,
            TemplateBody=(TEMPLATES / f"{template}.yaml").read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        return Stack(self, client.describe_stacks(StackName=name)["Stacks"][0])


class Stack:
    """What a stack has become."""

    def __init__(self, cloud: Cloud, described: Properties) -> None:
        self._cloud = cloud
        self.id: str = described["StackId"]
        self.status: str = described["StackStatus"]
        self.outputs: dict[str, str] = {
            each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]
        }

    def recorded(self, kind: str) -> dict[str, Properties]:
        """The resources of a type that moto has no model of, by logical name."""
        return {name: one for name, one in recorded.get(self.id, {}).items() if one["Type"] == kind}

    def endpoints(self) -> dict[str, str]:
        """Service names of the VPC's endpoints, by logical name."""
        return {name: one["ServiceName"] for name, one in self.recorded("AWS::EC2::VPCEndpoint").items()}

    @functools.cached_property
    def roles(self) -> dict[str, str]:
        """Names of the roles, by logical name."""
        found = self._cloud.client("cloudformation").describe_stack_resources(StackName=self.id)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in found["StackResources"]
            if each.get("ResourceType") == "AWS::IAM::Role"  # moto lists what a condition left out, too
        }

    def trust(self, logical: str) -> Properties:
        """The trust policy of a role."""
        found = self._cloud.client("iam").get_role(RoleName=self.roles[logical])
        return _document(found["Role"]["AssumeRolePolicyDocument"])

    def statements(self, logical: str) -> list[Properties]:
        """Every statement of a role's own policies."""
        client, role = self._cloud.client("iam"), self.roles[logical]
        names = client.list_role_policies(RoleName=role)["PolicyNames"]
        documents = [
            client.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names
        ]
        return [statement for document in documents for statement in _document(document)["Statement"]]

    def granted(self, logical: str) -> dict[str, set[str]]:
        """Actions that a role's own policies allow, by resource."""
        found: dict[str, set[str]] = {}
        for statement in self.statements(logical):
            assert statement["Effect"] == "Allow"
            for resource in listed(statement["Resource"]):
                found.setdefault(resource, set()).update(listed(statement["Action"]))
        return found


class Made(NamedTuple):
    """The three stacks in one region."""

    cloud: Cloud
    network: Stack
    cluster: Stack
    app: Stack

    def stacks(self) -> dict[str, Stack]:
        """By template."""
        return {"network": self.network, "cluster": self.cluster, "app": self.app}


def make(cloud: Cloud) -> Made:
    """Create all three with as few parameters as possible."""
    zones = ",".join(f"{cloud.region}{letter}" for letter in "abc")
    network = cloud.create("whisper-webui-network", "network", Zones=zones)
    cluster = cloud.create(
        "whisper-webui-cluster",
        "cluster",
        VpcId=network.outputs["VpcId"],
        PrivateSubnetIds=network.outputs["PrivateSubnetIds"],
    )
    app = cloud.create("whisper-webui-app", "app", ClusterName=cluster.outputs["ClusterName"])
    return Made(cloud, network, cluster, app)


def listed(value: str | list[str]) -> list[str]:
    """What policies write alone or in a list."""
    return [value] if isinstance(value, str) else value


def session_tags(statement: Properties) -> dict[str, str]:
    """The tags of EKS Pod Identity that a trust policy asks for."""
    prefix = "aws:RequestTag/"
    return {key.removeprefix(prefix): value for key, value in statement["Condition"]["StringEquals"].items()}


def _document(found: Any) -> Properties:
    """A policy, which moto keeps as an object, as JSON or as Python would write it; YAML reads both texts."""
    return yaml.safe_load(found) if isinstance(found, str) else found  # type: ignore[no-any-return]


@contextlib.contextmanager
def clouds() -> Iterator[str]:
    """The URL of a running stand-in."""
    _extend()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        recorded.clear()
