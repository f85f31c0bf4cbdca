"""`down`: delete everything of one name, in the order AWS allows, whatever is left of it."""

import sys

from deploy import component, endpoint, plan, scaling, status
from deploy.arguments import Down
from deploy.aws import Aws
from deploy.errors import DeployError
from deploy.waiting import Patience


def down(aws: Aws, wanted: Down) -> None:
    """Scaling first, so that nothing starts again; then copies, instances, configurations and models."""
    if not (wanted.yes or aws.dry_run):
        _ask(aws, wanted)
    patience = Patience(poll_seconds=wanted.poll_seconds, wait_seconds=wanted.wait_minutes * 60)
    scaling.remove(aws, wanted.name)
    component.delete(aws, plan.component_name(wanted.name), patience)
    endpoint.delete(aws, wanted.name, patience)
    for entry in status.configs(aws, wanted.name):
        name = entry["EndpointConfigName"]
        aws.remove("sagemaker", "delete_endpoint_config", EndpointConfigName=name)
    for entry in status.models(aws, wanted.name):
        aws.remove("sagemaker", "delete_model", ModelName=entry["ModelName"])
    if wanted.with_images and aws.find("ecr", "describe_repositories", repositoryNames=[wanted.name]):
        aws.remove("ecr", "delete_repository", repositoryName=wanted.name, force=True)
    aws.console.say(f"nothing of {wanted.name} is left" if not aws.dry_run else "nothing was deleted")


def _ask(aws: Aws, wanted: Down) -> None:
    what = f"the endpoint {wanted.name} in {aws.region} with its configurations and models"
    if wanted.with_images:
        what += f", and every image of the repository {wanted.name}"
    if not sys.stdin.isatty():
        raise DeployError(f"this deletes {what}. Say that you mean it with --yes")
    sys.stderr.write(f"This deletes {what}.\nType its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != wanted.name:
        raise DeployError("nothing was deleted")
