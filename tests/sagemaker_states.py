"""SageMaker's models, configurations, endpoints and components as its control plane keeps them.

Things change with the looks taken at them, not with time: `looks` descriptions after a change began it is
done. The sentences of the refusals are SageMaker's own, as people have reported them.
"""

import re
import time
from typing import Any

Parameters = dict[str, Any]


class Refused(Exception):
    """An answer that botocore raises as ClientError."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> Refused:
    return Refused("ValidationException", message)


class Thing:
    """An endpoint or a component: what it is, and what it is about to be."""

    def __init__(self, parameters: Parameters, arn: str) -> None:
        self.parameters = parameters
        self.arn = arn
        self.status = "Creating"
        self.looks = 0
        self.wanted: Parameters | None = parameters
        """None while it is not changing; empty while it is being deleted."""
        self.running: Parameters = {}
        self.reason = ""
        self.updates: list[Parameters] = []

    def change(self, status: str, wanted: Parameters, looks: int) -> None:
        self.status, self.wanted, self.looks, self.reason = status, wanted, looks, ""


class SageMaker:
    """The control plane of one region, with faults to be switched on by a test."""

    def __init__(self) -> None:
        self.models: dict[str, Parameters] = {}
        self.configs: dict[str, Parameters] = {}
        self.endpoints: dict[str, Thing] = {}
        self.components: dict[str, Thing] = {}
        self.looks = 2
        self.quota: dict[str, int] = {}
        self.refused_fields: set[str] = set()
        """Fields of a variant that CreateEndpointConfig refuses by name."""
        self.unsupported: set[str] = set()
        """Fields that CreateEndpoint refuses without naming them."""
        self.scales_to_zero = True
        self.fails_with = ""
        """Why the next creation or update of an endpoint fails."""
        self.component_fails_with = ""
        self.images: set[str] | None = None
        """Images that exist, or None for all."""
        self.targets: dict[str, Parameters] = {}
        """What is scaled, by resource: Application Auto Scaling's own list."""
        self.copies = 1
        self.invoked: list[tuple[str, bytes]] = []

    # models and configurations

    def CreateModel(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802  # named like the API
        image = given["PrimaryContainer"]["Image"]
        if given["ModelName"] in self.models:
            raise invalid(f'Cannot create already existing model "{arn}model/{given["ModelName"]}".')
        if self.images is not None and image not in self.images:
            raise invalid(f"Requested image {image} not found.")
        self.models[given["ModelName"]] = _dated(given)
        return {"ModelArn": f"{arn}model/{given['ModelName']}"}

    def DescribeModel(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        return _found(self.models, given["ModelName"], "model", arn) | {
            "ModelArn": f"{arn}model/{given['ModelName']}"
        }

    def DeleteModel(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        _found(self.models, given["ModelName"], "model", arn)
        del self.models[given["ModelName"]]
        return {}

    def ListModels(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        return {"Models": _listed(self.models, given, "Model", arn)}

    def CreateEndpointConfig(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        name = given["EndpointConfigName"]
        if name in self.configs:
            raise invalid(f'Cannot create already existing endpoint configuration "{arn}{name}".')
        variant = given["ProductionVariants"][0]
        for field in self.refused_fields & variant.keys():
            raise invalid(f"{field} is not a supported field in this region.")
        self._check_scaling(given, variant)
        if "ModelName" in variant:
            _found(self.models, variant["ModelName"], "model", arn)
        self.configs[name] = _dated(given)
        return {"EndpointConfigArn": f"{arn}endpoint-config/{name}"}

    def _check_scaling(self, given: Parameters, variant: Parameters) -> None:
        managed = variant.get("ManagedInstanceScaling")
        if managed and "ModelName" in variant:
            raise invalid("ManagedInstanceScaling is only supported for inference component endpoints.")
        if "ModelName" not in variant and "ExecutionRoleArn" not in given:
            raise invalid("ExecutionRoleArn is required for inference component endpoints.")
        if managed and managed["MinInstanceCount"] == 0 and not self.scales_to_zero:
            raise invalid(
                "Min instance count needs to be greater than 0 for enabled managed instance scaling"
            )

    def DescribeEndpointConfig(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        found = _found(self.configs, given["EndpointConfigName"], "endpoint configuration", arn)
        return found | {"EndpointConfigArn": f"{arn}endpoint-config/{given['EndpointConfigName']}"}

    def DeleteEndpointConfig(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        _found(self.configs, given["EndpointConfigName"], "endpoint configuration", arn)
        del self.configs[given["EndpointConfigName"]]
        return {}

    def ListEndpointConfigs(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        return {"EndpointConfigs": _listed(self.configs, given, "EndpointConfig", arn)}

    # endpoints

    def CreateEndpoint(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        name = given["EndpointName"]
        if name in self.endpoints:
            raise invalid(f'Cannot create already existing endpoint "{arn}endpoint/{name}".')
        self._check_capacity(given["EndpointConfigName"], arn, running=0)
        self.endpoints[name] = Thing(given, f"{arn}endpoint/{name}")
        self.endpoints[name].looks = self.looks
        return {"EndpointArn": f"{arn}endpoint/{name}"}

    def UpdateEndpoint(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        endpoint = self._endpoint(given["EndpointName"], arn)
        if endpoint.status == "Failed":
            raise invalid(f'Cannot update endpoint "{endpoint.arn}" with status "Failed".')
        if endpoint.status != "InService":
            raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        self._check_capacity(given["EndpointConfigName"], arn, running=1)
        self._check_type(endpoint, given)
        endpoint.change("Updating", given, self.looks)
        endpoint.updates.append(given)
        return {"EndpointArn": endpoint.arn}

    def _check_type(self, endpoint: Thing, given: Parameters) -> None:
        """Scaled instances keep their type: endpoint-scaling-update.html of the developer guide."""
        names = (endpoint.running["EndpointConfigName"], given["EndpointConfigName"])
        old, new = (self.configs[name]["ProductionVariants"][0]["InstanceType"] for name in names)
        if old != new and f"endpoint/{given['EndpointName']}/variant/AllTraffic" in self.targets:
            raise invalid(
                "The instance type of a variant registered with Application Auto Scaling cannot change"
            )

    def _check_capacity(self, config_name: str, arn: str, running: int) -> None:
        variant = _found(self.configs, config_name, "endpoint configuration", arn)["ProductionVariants"][0]
        if self.unsupported & variant.keys():
            raise invalid("One or more endpoint features are not supported using this configuration.")
        kind, count = variant["InstanceType"], variant["InitialInstanceCount"]
        limit = self.quota.get(kind, 100)
        if running + count > limit:
            raise Refused(
                "ResourceLimitExceeded",
                f"The account-level service limit '{kind} for endpoint usage' is {limit} Instances, with "
                f"current utilization of {running} Instances and a request delta of {count} Instances. "
                "Please use AWS Service Quotas to request an increase for this quota.",
            )

    def ListEndpoints(self, given: Parameters, _arn: str) -> Parameters:  # noqa: N802
        wanted = given.get("NameContains", "")
        return {
            "Endpoints": [
                {"EndpointName": name, "EndpointArn": endpoint.arn, "EndpointStatus": endpoint.status}
                for name, endpoint in self.endpoints.items()
                if wanted in name
            ]
        }

    def DescribeEndpoint(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        endpoint = self._endpoint(given["EndpointName"], arn)
        if not self._progressed(endpoint, self.endpoints, given["EndpointName"]):
            raise invalid(f'Could not find endpoint "{endpoint.arn}".')
        config = self.configs.get(endpoint.running.get("EndpointConfigName", ""), {})
        answer = {
            "EndpointName": given["EndpointName"],
            "EndpointArn": endpoint.arn,
            "EndpointStatus": endpoint.status,
            "CreationTime": time.time(),
            "LastModifiedTime": time.time(),
            "EndpointConfigName": (endpoint.running or endpoint.parameters)["EndpointConfigName"],
            "ProductionVariants": [_summary(variant) for variant in config.get("ProductionVariants", [])],
        }
        return answer | ({"FailureReason": endpoint.reason} if endpoint.reason else {})

    def DeleteEndpoint(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        endpoint = self._endpoint(given["EndpointName"], arn)
        if endpoint.status not in ("InService", "Failed"):
            raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        endpoint.change("Deleting", {}, self.looks)
        endpoint.running = {}
        return {}

    # components

    def CreateInferenceComponent(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        name = given["InferenceComponentName"]
        if name in self.components:
            raise invalid(f'Cannot create already existing inference component "{name}".')
        if self._endpoint(given["EndpointName"], arn).status != "InService":
            raise invalid(f"Endpoint {given['EndpointName']} is not InService.")
        if given["RuntimeConfig"]["CopyCount"] == 0:
            raise invalid("Inference components copy count an integer larger than 0")
        _found(self.models, given["Specification"]["ModelName"], "model", arn)
        self.components[name] = Thing(given, f"{arn}inference-component/{name}")
        self.components[name].looks = self.looks
        return {"InferenceComponentArn": self.components[name].arn}

    def UpdateInferenceComponent(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        component = self._component(given["InferenceComponentName"], arn)
        if component.status != "InService":
            raise invalid("Cannot update inference component while it is in state UPDATE_IN_PROGRESS")
        _found(self.models, given["Specification"]["ModelName"], "model", arn)
        component.change("Updating", component.running | given, self.looks)
        component.updates.append(given)
        return {"InferenceComponentArn": component.arn}

    def DescribeInferenceComponent(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        name = given["InferenceComponentName"]
        component = self._component(name, arn)
        if component.status != "Deleting" and self.component_fails_with:
            self.fails_with, self.component_fails_with = self.component_fails_with, ""
        if not self._progressed(component, self.components, name):
            raise invalid(f'Could not find inference component "{component.arn}".')
        copies = self.copies if component.running else 0
        answer = {
            "InferenceComponentName": name,
            "InferenceComponentArn": component.arn,
            "EndpointName": component.parameters["EndpointName"],
            "EndpointArn": component.arn,
            "CreationTime": time.time(),
            "LastModifiedTime": time.time(),
            "InferenceComponentStatus": component.status,
            "Specification": (component.running or component.parameters)["Specification"],
            "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": copies},
        }
        return answer | ({"FailureReason": component.reason} if component.reason else {})

    def DeleteInferenceComponent(self, given: Parameters, arn: str) -> Parameters:  # noqa: N802
        component = self._component(given["InferenceComponentName"], arn)
        if component.status not in ("InService", "Failed"):
            component.looks -= 1
            self._progressed(component, self.components, given["InferenceComponentName"])
            raise invalid(
                f'Cannot delete inference component "{component.arn}" while it is in state CREATE_IN_PROGRESS'
            )
        component.change("Deleting", {}, self.looks)
        component.running = {}
        return {}

    # shared

    def _endpoint(self, name: str, arn: str) -> Thing:
        if name not in self.endpoints:
            raise invalid(f'Could not find endpoint "{arn}endpoint/{name}".')
        return self.endpoints[name]

    def _component(self, name: str, arn: str) -> Thing:
        if name not in self.components:
            raise invalid(f'Could not find inference component "{arn}inference-component/{name}".')
        return self.components[name]

    def _progressed(self, thing: Thing, things: dict[str, Thing], name: str) -> bool:
        """One look at a thing; False if it is gone now."""
        if thing.wanted is None:
            return True
        thing.looks -= 1
        if thing.looks >= 0:
            return True
        if thing.status == "Deleting":
            del things[name]
            return False
        if self.fails_with:
            thing.reason, self.fails_with = self.fails_with, ""
            thing.status = "InService" if thing.running else "Failed"
        else:
            thing.running, thing.status = thing.wanted, "InService"
        thing.wanted = None
        return True

    def invoke(self, name: str, component_name: str | None, body: bytes) -> str:
        """The model that answers. Raises `Refused` where nothing serves."""
        endpoint = self.endpoints.get(name)
        if endpoint is None or not endpoint.running:
            raise Refused("ValidationError", f"Endpoint {name} of account 111122223333 not found.")
        variant = self.configs[endpoint.running["EndpointConfigName"]]["ProductionVariants"][0]
        model = str(variant.get("ModelName") or self._serving(component_name))
        if model not in self.models:
            raise Refused("ModelError", f"The model {model} was deleted while it served", 424)
        self.invoked.append((model, body))
        return model

    def _serving(self, name: str | None) -> str:
        if name is None:
            raise Refused("ValidationError", "Inference Component Name header is required")
        component = self.components.get(name)
        if component is None or not component.running:
            raise Refused("ValidationError", f"Inference Component {name} not found.")
        if self.copies < 1:
            self.copies += 1  # the next request finds it awake
            raise Refused("ValidationError", "Inference Component has no capacity to process this request")
        return str(component.running["Specification"]["ModelName"])


def _dated(given: Parameters) -> Parameters:
    return given | {"CreationTime": time.time()}


def _found(things: dict[str, Parameters], name: str, kind: str, arn: str) -> Parameters:
    if name not in things:
        raise invalid(f'Could not find {kind} "{arn}{kind.replace(" configuration", "-config")}/{name}".')
    return things[name]


def _listed(things: dict[str, Parameters], given: Parameters, kind: str, arn: str) -> list[Parameters]:
    return [
        {f"{kind}Name": name, f"{kind}Arn": f"{arn}{kind}/{name}", "CreationTime": thing["CreationTime"]}
        for name, thing in sorted(things.items(), key=lambda item: -item[1]["CreationTime"])
        if re.search(re.escape(given.get("NameContains", "")), name)
    ]


def _summary(variant: Parameters) -> Parameters:
    count = variant["InitialInstanceCount"]
    kept = {key: variant[key] for key in ("VariantName", "ManagedInstanceScaling") if key in variant}
    return kept | {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
