"""CloudFormation for the three stacks of deploy/aws: templates, change sets and states.

moto makes neither EKS clusters nor secrets of a template. This one checks parameters as CloudFormation does
and goes through its states; what a stack would make is reduced to its outputs. Things change with the looks
taken at them.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import msgspec

from tests.charts.templates import parsed
from tests.sagemaker_states import Refused

Parameters = dict[str, Any]
OUTPUTS = {
    "network": {
        "VpcId": "vpc-made",
        "PrivateSubnetIds": "subnet-a,subnet-b,subnet-c",
        "PublicSubnetIds": "subnet-d,subnet-e,subnet-f",
    },
    "cluster": {
        "ClusterName": "{Name}",
        "OidcIssuer": "oidc.eks.example/id/1",
        "LoadBalancerControllerRoleArn": "arn:{partition}:iam::111122223333:role/lbc",
    },
    "app": {
        "RegistryUri": "111122223333.dkr.ecr.{region}.{suffix}",
        "AuthRoleArn": "arn:{partition}:iam::111122223333:role/auth",
        "TranscriberRoleArn": "arn:{partition}:iam::111122223333:role/transcriber",
        "EndpointRoleArn": "arn:{partition}:iam::111122223333:role/endpoint",
        "CredentialsSecretName": "{Name}-credentials-1a2b",
        "SigningSecretName": "{Name}-signing-key",
        "ModelBucket": "{Name}-models",
        "KeyArn": "arn:{partition}:kms:{region}:111122223333:key/1a2b",
        "EndpointAlarms": "{Name}-endpoint-errors,{Name}-endpoint-latency",
    },
}
"""What the templates print, as far as somebody asks for it; a test compares the names with theirs."""


class Stack(msgspec.Struct):
    """One stack: what it is, and what it is on the way to."""

    name: str
    state: str
    given: Parameters = {}
    tags: Parameters = {}
    body: str = ""
    looks: int = 0
    after: str = ""
    events: list[tuple[str, str, str]] = []


class ChangeSet(msgspec.Struct):
    """A change that was asked for."""

    kind: str
    body: str
    given: Parameters
    tags: Parameters
    reason: str = ""


def invalid(message: str) -> Refused:
    return Refused("ValidationError", message)


class CloudFormation:
    """The stacks of an account in one region."""

    def __init__(self, made: Callable[[str], None], gone: Callable[[str], None]) -> None:
        """`made` and `gone` are told the kind of a stack, such as network, when it is there or no more."""
        self.stacks: dict[str, Stack] = {}
        self.changes: dict[tuple[str, str], ChangeSet] = {}
        self.fails: dict[str, str] = {}
        """Why the next change of a kind of stack fails."""
        self.cannot_be_deleted: dict[str, str] = {}
        self.cannot_go_back = False
        self.losses: list[tuple[str, str, str]] = []
        """What the next change set is said to remove or replace: action, name, type."""
        self.looks = 2
        self.outputs = copy.deepcopy(OUTPUTS)
        self.executed: list[str] = []
        self._made, self._gone = made, gone

    def settled(self, name: str, state: str = "CREATE_COMPLETE", **given: str) -> Stack:
        """Have a stack in some state."""
        self.stacks[name] = Stack(name=name, state=state, given=given)
        return self.stacks[name]

    def answer(self, operation: str, given: Parameters, region: str) -> Parameters:
        """What CloudFormation answers. Raises `Refused`."""
        handler: Callable[[Parameters, str], Parameters] = getattr(self, operation)
        return handler(given, region)

    def DescribeStacks(self, given: Parameters, region: str) -> Parameters:  # noqa: N802  # named like the API
        wanted = given.get("StackName")
        for name in [wanted] if wanted else list(self.stacks):
            self._look(name)
        if wanted and wanted not in self.stacks:
            raise invalid(f"Stack with id {wanted} does not exist")
        return {
            "Stacks": [
                self._shown(stack, region) for stack in self.stacks.values() if wanted in (None, stack.name)
            ]
        }

    def ListStacks(self, _given: Parameters, _region: str) -> Parameters:  # noqa: N802
        return {"StackSummaries": []}

    def CreateChangeSet(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        name, kind = given["StackName"], given["ChangeSetType"]
        stack = self.stacks.get(name)
        if kind == "CREATE" and stack is not None:
            raise invalid(f"Stack [{name}] already exists and cannot be created again")
        if kind == "UPDATE" and (stack is None or not stack.state.endswith("E_COMPLETE")):
            state = stack.state if stack else "no"
            if state != "UPDATE_ROLLBACK_COMPLETE":
                raise invalid(f"Stack:{name} is in {state} state and can not be updated.")
        wanted = _resolved(given, stack)
        tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}
        change = ChangeSet(kind=kind, body=given["TemplateBody"], given=wanted, tags=tags)
        if stack is None:
            self.stacks[name] = Stack(name=name, state="REVIEW_IN_PROGRESS")
        elif (stack.body, stack.given, stack.tags) == (change.body, wanted, tags):
            change.reason = (
                "The submitted information didn't contain changes. Submit different information to create a "
                "change set."
            )
        self.changes[name, given["ChangeSetName"]] = change
        return {"Id": f"arn:aws:cloudformation:changeSet/{given['ChangeSetName']}", "StackId": name}

    def DescribeChangeSet(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        change = self.changes[given["StackName"], given["ChangeSetName"]]
        if change.reason:
            return {"Status": "FAILED", "StatusReason": change.reason}
        changes = [{"Type": "Resource", "ResourceChange": _change(*loss)} for loss in self.losses]
        return {"Status": "CREATE_COMPLETE", "Changes": changes}

    def DeleteChangeSet(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        del self.changes[given["StackName"], given["ChangeSetName"]]
        return {}

    def ExecuteChangeSet(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        name = given["StackName"]
        change, stack = self.changes.pop((name, given["ChangeSetName"])), self.stacks[name]
        self.executed.append(name)
        verb = "CREATE" if change.kind == "CREATE" else "UPDATE"
        if reason := self.fails.pop(_kind(name), None):
            stack.events.append(("Broken", f"{verb}_FAILED", reason))
            after = "ROLLBACK_COMPLETE" if verb == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
            return self._begin(stack, f"{verb}_IN_PROGRESS", after)
        stack.body, stack.given, stack.tags = change.body, change.given, change.tags
        return self._begin(stack, f"{verb}_IN_PROGRESS", f"{verb}_COMPLETE")

    def DeleteStack(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        if (stack := self.stacks.get(given["StackName"])) is None:
            return {}
        self.executed.append(f"delete {stack.name}")
        if reason := self.cannot_be_deleted.get(_kind(stack.name)):
            stack.events.append(("Vpc", "DELETE_FAILED", reason))
            return self._begin(stack, "DELETE_IN_PROGRESS", "DELETE_FAILED")
        return self._begin(stack, "DELETE_IN_PROGRESS", "")

    def ContinueUpdateRollback(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        stack = self.stacks[given["StackName"]]
        after = "UPDATE_ROLLBACK_FAILED" if self.cannot_go_back else "UPDATE_ROLLBACK_COMPLETE"
        return self._begin(stack, "UPDATE_ROLLBACK_IN_PROGRESS", after)

    def DescribeStackEvents(self, given: Parameters, _region: str) -> Parameters:  # noqa: N802
        events = reversed(self.stacks[given["StackName"]].events)
        return {
            "StackEvents": [
                {"LogicalResourceId": name, "ResourceStatus": state, "ResourceStatusReason": reason}
                for name, state, reason in events
            ]
        }

    def _begin(self, stack: Stack, state: str, after: str) -> Parameters:
        stack.state, stack.after, stack.looks = state, after, self.looks
        return {}

    def _look(self, name: str) -> None:
        stack = self.stacks.get(name)
        if stack is None or not stack.looks:
            return
        stack.looks -= 1
        if stack.looks:
            return
        stack.state = stack.after
        if stack.state in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            self._made(_kind(name))
        elif not stack.state:
            del self.stacks[name]
            self._gone(_kind(name))

    def _shown(self, stack: Stack, region: str) -> Parameters:
        partition, suffix = (
            ("aws-cn", "amazonaws.com.cn") if region.startswith("cn-") else ("aws", "amazonaws.com")
        )
        values = {
            "Name": stack.given.get("Name", ""),
            "region": region,
            "partition": partition,
            "suffix": suffix,
        }
        outputs = (
            self.outputs[_kind(stack.name)]
            if stack.state.endswith(("E_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"))
            else {}
        )
        return {
            "StackName": stack.name,
            "StackStatus": stack.state,
            "CreationTime": "2026-11-29T00:00:00Z",
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in stack.given.items()
            ],
            "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
            "Outputs": [
                {"OutputKey": key, "OutputValue": value.format(**values)} for key, value in outputs.items()
            ],
        }


def _kind(name: str) -> str:
    return name.rpartition("-")[2]


def _change(action: str, name: str, kind: str) -> Parameters:
    replaced = "True" if action == "Modify" else "False"
    return {"Action": action, "LogicalResourceId": name, "ResourceType": kind, "Replacement": replaced}


def _resolved(given: Parameters, stack: Stack | None) -> Parameters:
    """The values that a change asks for, checked as CloudFormation does."""
    known = parsed(given["TemplateBody"])["Parameters"]
    asked = {entry["ParameterKey"]: entry for entry in given.get("Parameters", [])}
    if unknown := sorted(asked.keys() - known.keys()):
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = {}
    for name, declared in known.items():
        entry = asked.get(name, {})
        if entry.get("UsePreviousValue") == "true":
            if stack is None or name not in stack.given:
                raise invalid(
                    f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as true"
                )
            values[name] = stack.given[name]
        elif "ParameterValue" in entry:
            values[name] = entry["ParameterValue"]
        elif "Default" in declared:
            values[name] = str(declared["Default"])
        else:
            raise invalid(f"Parameters: [{name}] must have values")
        _check(name, declared, values[name])
    return values


def _check(name: str, declared: Parameters, value: str) -> None:
    several = declared["Type"].startswith(("List", "CommaDelimited"))
    for one in value.split(",") if several else [value]:
        if not re.fullmatch(declared.get("AllowedPattern", ".*"), one):
            raise invalid(
                f"Parameter {name} failed to satisfy constraint: {declared.get('ConstraintDescription')}"
            )
        if one not in map(str, declared.get("AllowedValues", [one])):
            raise invalid(f"Parameter '{name}' must be one of AllowedValues")
