"""The endpoint itself: created, updated beside its running instances, or replaced after it failed."""

from typing import Any

from deploy import plan, scaling
from deploy.arguments import Up
from deploy.aws import Aws
from deploy.console import Console
from deploy.errors import DeployError, InTransition, RolledBack, with_remedy
from deploy.reduction import with_fewest_losses
from deploy.waiting import Patience, settled, when_free

BUSY = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
DEPLOYMENT = "DeploymentConfig"


def ensure(aws: Aws, wanted: Up, model_name: str, patience: Patience) -> None:
    """Have the endpoint serve what is wanted. Raises `DeployError` with AWS's reason if it does not."""
    now = _settled(aws, wanted.name, patience)
    if now and _fits_no_update(now, wanted):
        raise DeployError(
            f"{wanted.name} was made {'without' if wanted.scale_to_zero else 'with'} --scale-to-zero, which "
            "cannot change while it serves: take another --name, or delete it with `down`"
        )
    if now and now["EndpointStatus"] == "Failed":
        aws.console.say(f"{wanted.name} had failed: {now.get('FailureReason', 'no reason given')}")
        delete(aws, wanted.name, patience)
        now = None
    config_name = ""

    def attempt(without: frozenset[str]) -> None:
        nonlocal config_name
        config = plan.config(wanted, model_name, without)
        config_name = config.name
        put_config(aws, config)
        _apply(aws, wanted, config.name, now, guarded=DEPLOYMENT not in without)

    lost = with_fewest_losses(attempt, (*plan.OPTIONAL, DEPLOYMENT), aws.console)
    _warn(wanted, lost, aws.console)
    if not aws.dry_run:
        _judge(_settled(aws, wanted.name, patience), wanted.name, config_name)
        aws.console.say(f"{wanted.name} is in service with {config_name}")


def put_config(aws: Aws, config: plan.Named) -> None:
    """Create the configuration unless it exists."""
    if aws.find("sagemaker", "describe_endpoint_config", EndpointConfigName=config.name) is None:
        aws.create("sagemaker", "create_endpoint_config", EndpointConfigName=config.name, **config.parameters)


def _apply(aws: Aws, wanted: Up, config_name: str, now: dict[str, Any] | None, *, guarded: bool) -> None:
    names = {"EndpointName": wanted.name, "EndpointConfigName": config_name}
    if now is None:
        aws.console.say(f"creating {wanted.name} with {config_name}")
        return aws.create("sagemaker", "create_endpoint", **names)
    if now["EndpointStatus"] == "InService" and now.get("EndpointConfigName") == config_name:
        return aws.console.say(f"{wanted.name} has {config_name} already")
    aws.console.say(f"updating {wanted.name} from {now.get('EndpointConfigName')} to {config_name}")
    if not wanted.scale_to_zero and _instance_type(aws, now) != wanted.instance_type:
        aws.console.say("scaling pauses: AWS changes no instance type under it")
        scaling.remove(aws, wanted.name)
    options: dict[str, Any] = {}
    if guarded and not wanted.scale_to_zero:
        options[DEPLOYMENT] = plan.guarded(wanted)
    if not wanted.scale_to_zero:  # else a loaded endpoint would shrink to the number it began with
        options["RetainAllVariantProperties"] = plan.scales(wanted)
    try:
        aws.change("sagemaker", "update_endpoint", **names, **options)
    except InTransition:  # the answer to a first try was lost
        return None
    return None


def _instance_type(aws: Aws, now: dict[str, Any]) -> str | None:
    """Of the variant that is serving."""
    serving = str(now.get("EndpointConfigName"))
    config = aws.find("sagemaker", "describe_endpoint_config", EndpointConfigName=serving)
    return config["ProductionVariants"][0].get("InstanceType") if config else None


def _settled(aws: Aws, name: str, patience: Patience) -> dict[str, Any] | None:
    """The endpoint once it is not changing, or None where there is none. A dry run does not wait."""
    return settled(
        name,
        lambda: aws.find("sagemaker", "describe_endpoint", EndpointName=name),
        "EndpointStatus",
        set() if aws.dry_run else BUSY,
        patience,
        aws.console,
    )


def delete(aws: Aws, name: str, patience: Patience) -> None:
    """Delete the endpoint, if any, and wait until it is gone."""
    if _settled(aws, name, patience) is None:
        return
    aws.console.say(f"deleting {name}")
    when_free(
        name,
        lambda: aws.remove("sagemaker", "delete_endpoint", EndpointName=name),
        patience,
        aws.console,
    )
    if not aws.dry_run:
        _settled(aws, name, patience)


def _fits_no_update(now: dict[str, Any], wanted: Up) -> bool:
    variants = now.get("ProductionVariants") or [{}]
    return now["EndpointStatus"] != "Failed" and wanted.scale_to_zero != (
        "ManagedInstanceScaling" in variants[0]
    )


def _judge(now: dict[str, Any] | None, name: str, config_name: str) -> None:
    if now is None:
        raise DeployError(f"{name} was deleted by somebody else meanwhile")
    status, serving = now["EndpointStatus"], now.get("EndpointConfigName")
    if status == "InService" and serving == config_name:
        return
    reason = with_remedy(now.get("FailureReason") or "AWS gives no reason")
    log = f"The container's log is the CloudWatch group /aws/sagemaker/Endpoints/{name}"
    if status == "InService":
        raise RolledBack(
            f"the update failed and was rolled back; {name} goes on with {serving}. {reason} {log}"
        )
    raise DeployError(f"{name} is {status}. {reason} {log}")


def _warn(wanted: Up, lost: frozenset[str], console: Console) -> None:
    if "InferenceAmiVersion" in lost and plan.on_gpu(wanted):
        console.say(
            "Without InferenceAmiVersion the instance has the region's own GPU driver. If the endpoint fails "
            "with CannotStartContainerError, build the image for an older CUDA (docs/deploy-endpoint.md)"
        )
    if DEPLOYMENT in lost and wanted.alarms:
        console.say("The alarms do not guard this update")
