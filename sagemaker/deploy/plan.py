"""Names and parameters of everything at SageMaker, from what is wanted alone."""

import hashlib
import json
import re
from typing import Any

import msgspec

from deploy.arguments import Up

VARIANT = "AllTraffic"
GPU_TYPE = re.compile(r"ml\.[gp]\d")
CUDA_13_AMI = "al2023-ami-sagemaker-inference-gpu-4-1"
"""Driver 580. Without it a g4dn has driver 470, on which no image with CUDA 12 or 13 starts:
docs.aws.amazon.com/sagemaker/latest/dg/inference-gpu-drivers.html"""
MODEL_FOLDER = "/opt/ml/model"

OPTIONAL = (
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "RoutingConfig",
    "InferenceAmiVersion",
)
"""Fields of a variant that a region may refuse, the least missed first; both China regions refused the
first in 2023: github.com/aws/sagemaker-python-sdk/issues/3883"""
BAKING_SECONDS = 300
"""How long alarms may veto an update before the old instances go."""
DRAINING_SECONDS = 60
"""An invocation may take as long."""


class Named(msgspec.Struct, frozen=True):
    """A thing whose name ends in a hash of its content, so that other content is another thing."""

    name: str
    parameters: dict[str, Any]


def named(name: str, parameters: dict[str, Any]) -> Named:
    """Same content, same name."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
    return Named(f"{name}-{digest[:10]}", parameters)


def is_version(name: str, candidate: str) -> bool:
    """Whether `named` could have made it for `name`."""
    return bool(re.fullmatch(rf"{re.escape(name)}-[0-9a-f]{{10}}", candidate))


def component_name(name: str) -> str:
    """The inference component of a scale-to-zero endpoint."""
    return f"{name}-component"


def model(wanted: Up, image: str) -> Named:
    """Parameters of CreateModel, but for the name."""
    environment = dict(wanted.environment)
    container: dict[str, Any] = {"Image": image}
    if wanted.model_data:
        container["ModelDataUrl"] = wanted.model_data
        environment.setdefault("WHISPER_MODEL", MODEL_FOLDER)
    if environment:
        container["Environment"] = environment
    return named(wanted.name, {"PrimaryContainer": container, "ExecutionRoleArn": wanted.role_arn})


def config(wanted: Up, model_name: str, without: frozenset[str]) -> Named:
    """Parameters of CreateEndpointConfig, but for the name and for the fields in `without`."""
    variant: dict[str, Any] = {
        "VariantName": VARIANT,
        "InstanceType": wanted.instance_type,
        "InitialInstanceCount": max(1, wanted.instances),
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }
    parameters: dict[str, Any] = {"ProductionVariants": [variant]}
    if wanted.scale_to_zero:
        parameters["ExecutionRoleArn"] = wanted.role_arn
        variant["ManagedInstanceScaling"] = {
            "Status": "ENABLED",
            "MinInstanceCount": 0,
            "MaxInstanceCount": wanted.max_instances,
        }
    else:
        variant |= {"ModelName": model_name, "InitialVariantWeight": 1.0} | startup(wanted)
    if ami := wanted.ami or (CUDA_13_AMI if on_gpu(wanted) else None):
        variant["InferenceAmiVersion"] = ami
    for field in without:
        variant.pop(field, None)
    return named(wanted.name, parameters)


def startup(wanted: Up) -> dict[str, int]:
    """How long a container may take to be ready."""
    times = {"ContainerStartupHealthCheckTimeoutInSeconds": wanted.startup_seconds}
    if wanted.model_data:
        times["ModelDataDownloadTimeoutInSeconds"] = wanted.download_seconds
    return times


def component(wanted: Up, model_name: str, without: frozenset[str]) -> dict[str, Any]:
    """The specification of the inference component: one copy has a GPU, or a core, of its own."""
    device = "NumberOfAcceleratorDevicesRequired" if on_gpu(wanted) else "NumberOfCpuCoresRequired"
    times = {field: value for field, value in startup(wanted).items() if field not in without}
    specification: dict[str, Any] = {
        "ModelName": model_name,
        "ComputeResourceRequirements": {device: 1, "MinMemoryRequiredInMb": wanted.memory_mb},
    }
    if times:
        specification["StartupParameters"] = times
    return specification


def guarded(wanted: Up) -> dict[str, Any]:
    """Blue/green: new instances beside the old ones, all traffic at once, back if an alarm rings."""
    deployment: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "ALL_AT_ONCE",
                "WaitIntervalInSeconds": BAKING_SECONDS if wanted.alarms else 0,
            },
            "TerminationWaitInSeconds": DRAINING_SECONDS,
            "MaximumExecutionTimeoutInSeconds": 3600,
        }
    }
    return deployment | _rollback(wanted)


def rolled(wanted: Up) -> dict[str, Any]:
    """How copies of a component are replaced: one by one, back if an alarm rings."""
    policy = {
        "MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1},
        "WaitIntervalInSeconds": BAKING_SECONDS if wanted.alarms else 0,
    }
    return {"RollingUpdatePolicy": policy} | _rollback(wanted)


def _rollback(wanted: Up) -> dict[str, Any]:
    if not wanted.alarms:
        return {}
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in wanted.alarms]}}


def on_gpu(wanted: Up) -> bool:
    """Whether the instance type has a GPU."""
    return bool(GPU_TYPE.match(wanted.instance_type))


def scales(wanted: Up) -> bool:
    """Whether the number of instances may change by itself."""
    return wanted.scale_to_zero or wanted.instances < wanted.max_instances
