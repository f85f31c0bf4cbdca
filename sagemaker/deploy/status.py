"""`status`: the endpoint, what it runs, how it scales, and the versions one could go back to."""

from typing import Any

from deploy import plan, scaling
from deploy.arguments import Status
from deploy.aws import Aws
from deploy.errors import DeployError


def status(aws: Aws, wanted: Status) -> None:
    """Print it all. Raises `DeployError` where there is no endpoint."""
    found = aws.find("sagemaker", "describe_endpoint", EndpointName=wanted.name)
    show = aws.console.result
    show(
        f"endpoint   {wanted.name} in {aws.region}: {found['EndpointStatus'] if found else 'does not exist'}"
    )
    if found and found.get("FailureReason"):
        show(f"reason     {found['FailureReason']}")
    for variant in (found or {}).get("ProductionVariants", ()):
        show(
            f"instances  {variant.get('CurrentInstanceCount')}, wanted {variant.get('DesiredInstanceCount')}"
        )
    _component(aws, wanted.name)
    for entry in scaling.registered(aws, wanted.name):
        show(f"scaling    {entry['MinCapacity']} to {entry['MaxCapacity']} ({entry['ResourceId']})")
    _versions(aws, wanted.name, found)
    if not found:
        raise DeployError(f"there is no endpoint {wanted.name} in {aws.region}")


def _component(aws: Aws, name: str) -> None:
    name = plan.component_name(name)
    if found := aws.find("sagemaker", "describe_inference_component", InferenceComponentName=name):
        runtime = found.get("RuntimeConfig", {})
        aws.console.result(
            f"component  {name}: {found['InferenceComponentStatus']} with "
            f"{found.get('Specification', {}).get('ModelName')}, {runtime.get('CurrentCopyCount')} copies, "
            f"wanted {runtime.get('DesiredCopyCount')}"
        )
        if found.get("FailureReason"):
            aws.console.result(f"reason     {found['FailureReason']}")


def _versions(aws: Aws, name: str, endpoint: dict[str, Any] | None) -> None:
    serving = (endpoint or {}).get("EndpointConfigName")
    for entry in configs(aws, name):
        config = entry["EndpointConfigName"]
        details = aws.find("sagemaker", "describe_endpoint_config", EndpointConfigName=config) or {}
        variant = details.get("ProductionVariants", [{}])[0]
        mark = "serving" if config == serving else "       "
        made = f"{entry['CreationTime']:%Y-%m-%d %H:%M}"
        aws.console.result(f"config     {config} {mark} {variant.get('InstanceType')} of {made}")
    for entry in models(aws, name):
        details = aws.find("sagemaker", "describe_model", ModelName=entry["ModelName"]) or {}
        image = details.get("PrimaryContainer", {}).get("Image")
        aws.console.result(f"model      {entry['ModelName']} {image}")


def configs(aws: Aws, name: str) -> list[dict[str, Any]]:
    """Endpoint configurations that `up` has made for this name, newest first."""
    return _listed(aws, name, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName")


def models(aws: Aws, name: str) -> list[dict[str, Any]]:
    """Models that `up` has made for this name, newest first."""
    return _listed(aws, name, "list_models", "Models", "ModelName")


def _listed(aws: Aws, name: str, operation: str, key: str, field: str) -> list[dict[str, Any]]:
    pages = aws.pages(
        "sagemaker", operation, NameContains=f"{name}-", SortBy="CreationTime", SortOrder="Descending"
    )
    return [entry for page in pages for entry in page[key] if plan.is_version(name, entry[field])]
