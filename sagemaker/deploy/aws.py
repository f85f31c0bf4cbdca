"""Calls of AWS: reads are sent, changes are sent or, in a dry run, printed.

Plain botocore, which aiobotocore brings along: a deployment does one thing after another, so there is
nothing to await.
"""

import json
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, UnknownRegionError
from botocore.session import Session, get_session

from deploy.console import Console
from deploy.errors import AlreadyThere, DeployError, NotFound, translated

CONFIG = Config(
    connect_timeout=10,
    read_timeout=70,  # an invocation may take 60 s
    retries={"mode": "standard", "total_max_attempts": 4},
)


class Aws:
    """One account in one region. A session may serve several; a new one reads 10 MB of descriptions."""

    def __init__(
        self, region: str | None, console: Console, *, dry_run: bool = False, session: Session | None = None
    ) -> None:
        self.console = console
        self.dry_run = dry_run
        self._session = session or get_session()
        self._clients: dict[str, Any] = {}
        found = region or self._session.get_config_variable("region")
        if not found:
            raise DeployError("which region? Give --region, or set AWS_REGION")
        self.region: str = found
        try:
            self.partition: str = self._session.get_partition_for_region(self.region)
        except UnknownRegionError as error:
            raise DeployError(f"{self.region} is no region that botocore knows") from error

    @cached_property
    def account(self) -> str:
        """Number of the account."""
        return str(self.read("sts", "get_caller_identity")["Account"])

    @property
    def registry(self) -> str:
        """Host of the account's images; its ending is the partition's, amazonaws.com.cn in China."""
        partitions = self._session.get_data("endpoints")["partitions"]
        [suffix] = [entry["dnsSuffix"] for entry in partitions if entry["partition"] == self.partition]
        return f"{self.account}.dkr.ecr.{self.region}.{suffix}"

    def read(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Ask. Raises `DeployError`."""
        return self._call(service, operation, parameters)

    def find(self, service: str, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """Ask for something that may not exist."""
        try:
            return self._call(service, operation, parameters)
        except NotFound:
            return None

    def pages(self, service: str, operation: str, **parameters: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        client = self._client(service)
        try:
            return list(client.get_paginator(operation).paginate(**parameters))
        except ClientError as error:
            raise translated(operation, error.response) from error
        except BotoCoreError as error:
            raise _unsent(error) from error

    def change(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make, alter or delete; a dry run prints the call and answers nothing."""
        if self.dry_run:
            name = self._client(service).meta.method_to_api_mapping[operation]
            self.planned({"service": service, "operation": name, "parameters": parameters})
            return {}
        return self._call(service, operation, parameters)

    def create(self, service: str, operation: str, **parameters: Any) -> None:
        """`change`, where a first try of ours may have got through although its answer was lost."""
        try:
            self.change(service, operation, **parameters)
        except AlreadyThere:
            return

    def remove(self, service: str, operation: str, **parameters: Any) -> None:
        """`change`, where it does not matter if the thing is gone already."""
        try:
            self.change(service, operation, **parameters)
        except NotFound:
            return

    def planned(self, step: dict[str, Any]) -> None:
        """Print what a real run would do, a JSON document a line."""
        self.console.result(json.dumps(step, ensure_ascii=False))

    def _call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
        except ClientError as error:
            raise translated(error.operation_name, error.response) from error
        except BotoCoreError as error:
            raise _unsent(error) from error
        return answer

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.create_client(
                service, region_name=self.region, config=CONFIG
            )
        return self._clients[service]


def _unsent(error: BotoCoreError) -> DeployError:
    if isinstance(error, NoCredentialsError):
        return DeployError("no AWS credentials: run `aws configure` or set AWS_ACCESS_KEY_ID and its kind")
    return DeployError(str(error))
