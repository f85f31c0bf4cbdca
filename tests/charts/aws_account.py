"""An AWS account over HTTP for the commands of deploy/aws: one address that shares the calls out.

Secrets Manager, EC2, load balancers and certificates are moto's; SageMaker and ECR those of
tests/aws_control_plane; CloudFormation, EKS, IAM, STS and quotas our own. Any call can be refused as AWS
refuses it: throttled, denied, with credentials that have expired.
"""

import contextlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

import msgspec
import requests
from botocore.session import get_session

from tests.aws_control_plane import ACCOUNT, SERVICES, ControlPlane
from tests.charts.stack_states import CloudFormation
from tests.sagemaker_states import Refused, Thing

Parameters = dict[str, Any]
MOTO = ("secretsmanager", "ec2", "elasticloadbalancing", "acm", "s3", "kms", "logs", "tagging")
PASSWORD = "generated-by-cloudformation-8f3a"
QUOTAS = {"L-1216C47A": 32.0, "L-34B43A08": 32.0, "L-F678F1CE": 5.0, "L-0263D0A3": 5.0}
EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired", 403)
THROTTLED = ("ThrottlingException", "Rate exceeded", 400)


class Fault(msgspec.Struct):
    """A refusal that the next calls get."""

    code: str
    message: str
    status: int
    left: int


class Plane(ControlPlane):
    """The control plane, with what else is asked of ECR."""

    def DescribeRepositories(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        names = given.get("repositoryNames", list(self.repositories))
        return super().DescribeRepositories({"repositoryNames": names}, arn)

    def DescribeImages(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        if "imageIds" in given:
            return super().DescribeImages(given, arn)
        self._repository(given["repositoryName"])
        return {"imageDetails": list(self.repositories[given["repositoryName"]].values())}


class Account:
    """State of the account, and what to refuse."""

    def __init__(self, moto: str) -> None:
        self.moto = moto
        self.url = ""
        self._session = get_session()
        self._clients: dict[tuple[str, str], Any] = {}
        self.clear()

    def clear(self) -> None:
        """A new account."""
        self.plane = Plane()
        self.stacks = CloudFormation(self._made, self._gone)
        self.caller = "assumed-role/Operator/me"
        self.partition = ""
        """Of the credentials; empty is that of the region."""
        self.denied: list[str] = []
        self.quotas = dict(QUOTAS)
        self.plane.quotas = {"ml.g4dn.xlarge": 2.0}
        self.cluster: str | None = None
        self.faults: dict[tuple[str, str], Fault] = {}
        """By service and operation; an operation of * is every one."""
        self.calls: list[str] = []
        """Every call, as service:operation."""
        self.region = "eu-west-1"
        requests.post(f"{self.moto}/moto-api/reset", timeout=10).raise_for_status()

    def refuse(self, service: str, operation: str, fault: tuple[str, str, int], times: int = 1) -> None:
        """Refuse the next calls."""
        self.faults[service, operation] = Fault(*fault, times)

    def have_endpoint(self, name: str, status: str = "InService", reason: str = "") -> None:
        """An endpoint of somebody else's making."""
        endpoint = Thing({"EndpointName": name, "EndpointConfigName": "theirs"}, f"arn:aws:endpoint/{name}")
        endpoint.change(status, {}, 0)
        endpoint.wanted, endpoint.running, endpoint.reason = None, {"EndpointConfigName": "theirs"}, reason
        self.plane.sagemaker.endpoints[name] = endpoint

    def client(self, service: str) -> Any:
        """A client of moto's part of the account; made once, as reading a service's model takes long."""
        if (service, self.region) not in self._clients:
            self._clients[service, self.region] = self._session.create_client(
                service,
                self.region,
                endpoint_url=self.moto,
                aws_access_key_id="AKIDEXAMPLE",
                aws_secret_access_key="secret",
            )
        return self._clients[service, self.region]

    def check(self, service: str, operation: str) -> None:
        """Raise the refusal that is waiting for such a call."""
        self.calls.append(f"{service}:{operation}")
        fault = (
            self.faults.get((service, operation))
            or self.faults.get((service, "*"))
            or self.faults.get(("*", "*"))
        )
        if fault is not None and fault.left:
            fault.left -= 1
            raise Refused(fault.code, fault.message, fault.status)

    def _made(self, kind: str) -> None:
        if kind == "cluster":
            self.cluster = "ACTIVE"
        if kind == "app":
            given = self.stacks.stacks[
                next(name for name in self.stacks.stacks if name.endswith("-app"))
            ].given
            for service in ("gateway", "auth", "chunker", "transcriber", "provision"):
                self.plane.repositories.setdefault(f"{given['ImagePrefix']}-{service}", {})
            name = given["Name"]
            with contextlib.suppress(Exception):  # it outlives the stack
                self.client("secretsmanager").create_secret(
                    Name=f"{name}-credentials-1a2b", SecretString=json.dumps({"admin": PASSWORD})
                )

    def _gone(self, kind: str) -> None:
        if kind == "cluster":
            self.cluster = None
        if kind == "app":
            for name in [name for name in self.plane.repositories if name.startswith("whisper-webui-")]:
                if "endpoint" not in name:
                    del self.plane.repositories[name]

    def _partition(self) -> str:
        return "aws-cn" if self.region.startswith("cn-") else "aws"

    # what is answered here

    def sts(self, _operation: str, _given: Parameters) -> Parameters:
        partition = self.partition or self._partition()
        service = "sts" if self.caller.startswith("assumed-role") else "iam"
        arn = f"arn:{partition}:{service}::{ACCOUNT}:{self.caller}"
        return {"Arn": arn, "UserId": "me", "Account": ACCOUNT}

    def iam(self, operation: str, given: Parameters) -> Parameters:
        if operation == "GetRole":
            return {"Role": {"Arn": f"arn:{self._partition()}:iam::{ACCOUNT}:role/team/{given['RoleName']}"}}
        return {
            "EvaluationResults": [
                {"EvalActionName": name, "EvalDecision": "implicitDeny" if name in self.denied else "allowed"}
                for name in given["ActionNames"]
            ]
        }

    def quota(self, operation: str, given: Parameters) -> Parameters:
        if operation == "ListServiceQuotas":
            return self.plane.ListServiceQuotas(given, "")
        if given["QuotaCode"] not in self.quotas:
            raise Refused("NoSuchResourceException", "there is no such quota")
        return {"Quota": {"QuotaCode": given["QuotaCode"], "Value": self.quotas[given["QuotaCode"]]}}

    def eks(self, path: str) -> Parameters:
        if path == "/clusters":
            return {"clusters": ["whisper-webui"] if self.cluster else []}
        name = path.rpartition("/")[2]
        if not self.cluster:
            raise Refused("ResourceNotFoundException", f"No cluster found for name: {name}.", 404)
        return {
            "cluster": {
                "name": name,
                "arn": f"arn:aws:eks:{self.region}:{ACCOUNT}:cluster/{name}",
                "status": self.cluster,
                "version": "1.33",
                "endpoint": "https://127.0.0.1:1",
                "certificateAuthority": {"data": "Y2E="},
            }
        }


def _structure(pairs: list[tuple[str, str]]) -> Parameters:
    """Parameters of the query protocol, such as Tags.member.1.Key, as they were before."""
    found: Parameters = {}
    for path, value in pairs:
        here = found
        *parents, last = path.split(".")
        for key in parents:
            here = here.setdefault(key, {})
        here[last] = value
    return {key: _listed(value) for key, value in found.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "member" in value:
        return [_listed(entry) for entry in value["member"].values()]
    return {key: _listed(entry) for key, entry in value.items()}


def _xml(value: object) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_xml(entry)}</{key}>" for key, entry in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(entry)}</member>" for entry in value)
    return escape(str(value))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    account: Account

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlsplit(self.path).path
        if path == "/address":
            return self._send(200, b"203.0.113.7\n", {})
        if path.startswith("/pushed/"):  # from the stand-ins for docker and images.sh
            self.account.plane.push(*path.split("/", 2)[2].split(":"))
            return self._send(200, b"", {})
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", self.headers.get("Authorization", ""))
        region, service = (scope[1], scope[2]) if scope else ("", "")
        self.account.region = region or self.account.region
        query = urllib.parse.parse_qsl(body.decode()) if b"Action=" in body[:2000] else []
        operation = dict(query).get("Action") or self.headers.get("X-Amz-Target", path).rpartition(".")[2]
        try:
            self.account.check(service, operation)
            if service in MOTO:
                return self._forward(body)
            answer = self._own(
                service, operation, _structure(query) if query else json.loads(body or b"{}"), region
            )
        except Refused as refused:
            return self._refuse(refused, xml=bool(query))
        except Exception as error:  # so that a gap of this stand-in is named and not retried
            return self._refuse(Refused("StandInBroken", repr(error)), xml=bool(query))
        if not query:
            return self._send(
                200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.1"}
            )
        text = _xml({f"{operation}Response": {f"{operation}Result": answer}})
        return self._send(200, text.encode(), {"Content-Type": "text/xml"})

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  # names of the standard library

    def _own(self, service: str, operation: str, given: Parameters, region: str) -> Parameters:
        account = self.account
        if service == "cloudformation":
            return account.stacks.answer(operation, given, region)
        if service == "eks":
            return account.eks(urllib.parse.urlsplit(self.path).path)
        if service == "sts":
            return account.sts(operation, given)
        if service == "iam":
            return account.iam(operation, given)
        if service == "servicequotas":
            return account.quota(operation, given)
        partition = "aws-cn" if region.startswith("cn-") else "aws"
        prefix = self.headers["X-Amz-Target"].rpartition(".")[0]
        return account.plane.answer(
            SERVICES[prefix], operation, given, f"arn:{partition}:sagemaker:{region}:{ACCOUNT}:"
        )

    def _forward(self, body: bytes) -> None:
        dropped = ("host", "content-length", "connection")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        answer = requests.request(
            self.command, self.account.moto + self.path, data=body, headers=headers, timeout=60
        )
        self._send(answer.status_code, answer.content, dict(answer.headers))

    def _refuse(self, refused: Refused, *, xml: bool) -> None:
        if xml:
            text = _xml(
                {
                    "ErrorResponse": {
                        "Error": {"Type": "Sender", "Code": refused.code, "Message": refused.message}
                    }
                }
            )
            return self._send(refused.status, text.encode(), {"Content-Type": "text/xml"})
        problem = {"__type": refused.code, "message": refused.message}
        return self._send(refused.status, json.dumps(problem).encode(), {"x-amzn-ErrorType": refused.code})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        kept = {
            name: value
            for name, value in headers.items()
            if name.lower().startswith(("content-type", "x-amz"))
        }
        for name, value in {**kept, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@contextlib.contextmanager
def aws_account(moto: str) -> Iterator[Account]:
    """Serve a new account on loopback."""
    account = Account(moto)
    handler = type("Handler", (_Handler,), {"account": account})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
