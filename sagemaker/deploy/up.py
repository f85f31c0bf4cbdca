"""`up`: model, configuration, endpoint and scaling, in that order, each only if it is missing or differs."""

from deploy import component, endpoint, images, plan, quota, scaling
from deploy.arguments import Up
from deploy.aws import Aws
from deploy.errors import DeployError, RolledBack
from deploy.waiting import Patience


def up(aws: Aws, wanted: Up) -> None:
    """Have the endpoint as wanted. Run again after any failure, it goes on where it was."""
    _check_role(aws, wanted.role_arn)
    patience = Patience(poll_seconds=wanted.poll_seconds, wait_seconds=wanted.wait_minutes * 60)
    quota.check(aws, wanted)
    model = plan.model(wanted, images.pinned(aws, wanted))
    _put_model(aws, model)
    try:
        endpoint.ensure(aws, wanted, model.name, patience)
    except RolledBack:
        _scale(aws, wanted)  # it may have been paused
        raise
    if wanted.scale_to_zero:
        component.ensure(aws, wanted, model.name, patience)
    _scale(aws, wanted)
    if not aws.dry_run:
        _say_how_to_use(aws, wanted)


def _check_role(aws: Aws, role: str) -> None:
    if not role.startswith(f"arn:{aws.partition}:iam::"):
        raise DeployError(
            f"--role-arn {role} cannot work in {aws.region}: "
            f"role ARNs begin with arn:{aws.partition}:iam:: there"
        )


def _put_model(aws: Aws, model: plan.Named) -> None:
    if aws.find("sagemaker", "describe_model", ModelName=model.name):
        return aws.console.say(f"model {model.name} exists")
    aws.console.say(f"creating model {model.name}")
    return aws.create("sagemaker", "create_model", ModelName=model.name, **model.parameters)


def _scale(aws: Aws, wanted: Up) -> None:
    try:
        scaling.ensure(aws, wanted)
    except DeployError as error:
        raise DeployError(f"{wanted.name} serves, but its scaling is not set. {error}") from error


def _say_how_to_use(aws: Aws, wanted: Up) -> None:
    aws.console.say(f"Set SAGEMAKER_ENDPOINT={wanted.name} and AWS_REGION={aws.region} for the transcriber")
    if wanted.scale_to_zero:
        aws.console.say(f"Requests have to name the component {plan.component_name(wanted.name)}")
