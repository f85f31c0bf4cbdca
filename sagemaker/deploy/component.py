"""The inference component of a scale-to-zero endpoint: the model's copies, apart from the instances."""

from typing import Any

from deploy import plan
from deploy.arguments import Up
from deploy.aws import Aws
from deploy.errors import DeployError, with_remedy
from deploy.reduction import with_fewest_losses
from deploy.waiting import Patience, settled, when_free

BUSY = {"Creating", "Updating", "Deleting"}
OPTIONAL = plan.OPTIONAL[:2]


def ensure(aws: Aws, wanted: Up, model_name: str, patience: Patience) -> None:
    """Have the component run the model. Raises `DeployError` with AWS's reason if it does not."""
    name = plan.component_name(wanted.name)
    now = _settled(aws, name, patience)
    if now and now.get("InferenceComponentStatus") == "Failed" and not _copies(now):
        aws.console.say(f"{name} had failed: {now.get('FailureReason', 'no reason given')}")
        delete(aws, name, patience)
        now = None
    if now and _runs(now, plan.component(wanted, model_name, frozenset())):
        return aws.console.say(f"{name} runs {model_name} already")

    def attempt(without: frozenset[str]) -> None:
        specification = plan.component(wanted, model_name, without)
        if now is None:
            _create(aws, wanted, name, specification)
        else:
            _update(aws, wanted, name, specification)

    with_fewest_losses(attempt, OPTIONAL, aws.console)
    if not aws.dry_run:
        _judge(_settled(aws, name, patience), name, model_name)
        aws.console.say(f"{name} runs {model_name}")
    return None


def _create(aws: Aws, wanted: Up, name: str, specification: dict[str, Any]) -> None:
    aws.console.say(f"creating {name}")
    aws.create(
        "sagemaker",
        "create_inference_component",
        InferenceComponentName=name,
        EndpointName=wanted.name,
        VariantName=plan.VARIANT,
        Specification=specification,
        RuntimeConfig={"CopyCount": 1},  # 0 is refused; scaling gets there
    )


def _update(aws: Aws, wanted: Up, name: str, specification: dict[str, Any]) -> None:
    aws.console.say(f"updating {name}")
    aws.change(
        "sagemaker",
        "update_inference_component",
        InferenceComponentName=name,
        Specification=specification,
        DeploymentConfig=plan.rolled(wanted),
    )


def _settled(aws: Aws, name: str, patience: Patience) -> dict[str, Any] | None:
    """The component once it is not changing, or None where there is none. A dry run does not wait."""
    return settled(
        name,
        lambda: aws.find("sagemaker", "describe_inference_component", InferenceComponentName=name),
        "InferenceComponentStatus",
        set() if aws.dry_run else BUSY,
        patience,
        aws.console,
    )


def delete(aws: Aws, name: str, patience: Patience) -> None:
    """Delete the component, if any, and wait until it is gone; it is refused while copies come or go."""
    if aws.find("sagemaker", "describe_inference_component", InferenceComponentName=name) is None:
        return
    aws.console.say(f"deleting {name}")
    when_free(
        name,
        lambda: aws.remove("sagemaker", "delete_inference_component", InferenceComponentName=name),
        patience,
        aws.console,
    )
    if not aws.dry_run:
        _settled(aws, name, patience)


def _runs(now: dict[str, Any], specification: dict[str, Any]) -> bool:
    """Whether it needs no update; AWS may tell more about the resources than it was given."""
    told = now.get("Specification", {})
    needs = specification["ComputeResourceRequirements"]
    return (
        now.get("InferenceComponentStatus") == "InService"
        and told.get("ModelName") == specification["ModelName"]
        and told.get("ComputeResourceRequirements", {}).items() >= needs.items()
    )


def _copies(now: dict[str, Any]) -> int:
    return int(now.get("RuntimeConfig", {}).get("CurrentCopyCount", 0))


def _judge(now: dict[str, Any] | None, name: str, model_name: str) -> None:
    if now is None:
        raise DeployError(f"{name} was deleted by somebody else meanwhile")
    running = now.get("Specification", {}).get("ModelName")
    if now["InferenceComponentStatus"] == "InService" and running == model_name:
        return
    reason = with_remedy(now.get("FailureReason") or "AWS gives no reason")
    raise DeployError(
        f"{name} is {now['InferenceComponentStatus']} with {running}. {reason} The container's log is the "
        f"CloudWatch group /aws/sagemaker/InferenceComponents/{name}"
    )
