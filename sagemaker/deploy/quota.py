"""Looks whether the account may have the instances wanted; only ever warns, as AWS decides anyway."""

from deploy.arguments import Up
from deploy.aws import Aws
from deploy.errors import DeployError


def check(aws: Aws, wanted: Up) -> None:
    """Say what the quota will not bear, or that it could not be read."""
    name = f"{wanted.instance_type} for endpoint usage"
    try:
        pages = aws.pages("service-quotas", "list_service_quotas", ServiceCode="sagemaker")
    except DeployError as error:
        return aws.console.say(f"the quota was not checked: {error}")
    values = [
        float(entry["Value"]) for page in pages for entry in page["Quotas"] if entry["QuotaName"] == name
    ]
    if not values:
        return aws.console.say(f"the quota was not checked: this region lists none named '{name}'")
    for text in warnings(values[0], wanted):
        aws.console.say(f"warning: the quota '{name}' is {values[0]:g}: {text}")
    return None


def warnings(quota: float, wanted: Up) -> list[str]:
    """What `quota` instances are too few for."""
    if quota < wanted.instances:
        return ["AWS will refuse the endpoint. Ask for more in the Service Quotas console"]
    found = []
    if quota < wanted.max_instances:
        found.append(f"scaling will end below --max-instances {wanted.max_instances}")
    if quota < 2 * wanted.instances:
        found.append("an update needs twice the instances, as old and new ones run side by side")
    return found
