"""Whether objects are what Kubernetes and the operators take: no key unknown, no type wrong."""

import functools
import importlib
import importlib.resources
import json
import re
from typing import Any

import jsonschema
import pydantic
import referencing

from tests.charts.rendering import Object

KUBERNETES = ("1.31", "1.32", "1.33", "1.34")
_BUNDLED = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
CUSTOM = {
    ("cert-manager.io/v1", "Certificate"): "cloudcoil.models.cert_manager.v1",
    ("keda.sh/v1alpha1", "ScaledObject"): "cloudcoil.models.keda.v1alpha1",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "cloudcoil.models.prometheus_operator.v1",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "cloudcoil.models.prometheus_operator.v1",
}
"""Kinds that Kubernetes does not know, with the module that has them."""


def complaints(found: Object, version: str) -> list[str]:
    """What is wrong with an object for this version of Kubernetes; an unknown kind is wrong, too."""
    name = f"{found['kind']} {found['metadata']['name']}"
    if module := CUSTOM.get((found["apiVersion"], found["kind"])):
        return [f"{name}: {complaint}" for complaint in _custom_complaints(module, found)]
    validator = _validator(found["apiVersion"], found["kind"], version)
    if validator is None:
        return [f"{name}: Kubernetes {version} does not know {found['apiVersion']} {found['kind']}"]
    return [f"{name}: {error.json_path}: {error.message}" for error in validator.iter_errors(found)]


@functools.cache
def _validator(api_version: str, kind: str, version: str) -> Any:
    # rbac.authorization.k8s.io/v1 is called rbac-v1 there
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    file = _BUNDLED / f"v{_patch(version)}-local-strict" / f"{kind.lower()}-{group}.json"
    if not file.is_file():
        return None
    schema = json.loads(file.read_text())
    whole = referencing.Resource.from_contents(schema) @ _definitions(version)
    return jsonschema.Draft202012Validator(schema, registry=whole)


@functools.cache
def _definitions(version: str) -> Any:
    file = _BUNDLED / f"v{_patch(version)}-local-strict" / "_definitions.json"
    definitions: Any = referencing.Resource.from_contents(json.loads(file.read_text()))
    return definitions @ referencing.Registry()


@functools.cache
def _patch(version: str) -> str:
    """The one release of a version that is bundled."""
    [found] = [
        entry.name.removeprefix("v").removesuffix("-local-strict")
        for entry in _BUNDLED.iterdir()
        if entry.name.startswith(f"v{version}.") and entry.name.endswith("-local-strict")
    ]
    return found


def _custom_complaints(module: str, found: Object) -> list[str]:
    model = getattr(importlib.import_module(module), found["kind"])
    try:
        understood = model.model_validate(found)
    except pydantic.ValidationError as error:
        return [str(error)]
    # The models pass over keys that they do not know.
    return _lost(found, understood.model_dump(mode="json", by_alias=True, exclude_none=True), "$")


def _lost(given: Any, understood: Any, path: str) -> list[str]:
    """Paths of what was given and not understood."""
    if isinstance(given, dict) and isinstance(understood, dict):
        return [
            lost
            for key, value in given.items()
            for lost in (
                _lost(value, understood[key], f"{path}.{key}")
                if key in understood
                else [f"{path}.{key} is unknown"]
            )
        ]
    if isinstance(given, list) and isinstance(understood, list):
        pairs = zip(given, understood, strict=True)
        return [
            lost
            for number, (one, other) in enumerate(pairs)
            for lost in _lost(one, other, f"{path}[{number}]")
        ]
    return [] if given == understood else [f"{path} is {given!r}, and was read as {understood!r}"]
