"""Our CloudFormation templates as data, with every short function (`!Sub`) in its long form."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "deploy/aws/cloudformation"
NAMES = ("network", "cluster", "app")


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's tags."""


def _function(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


@functools.cache
def template(name: str) -> dict[str, Any]:
    """One of them, to be read only."""
    return parsed((TEMPLATES / f"{name}.yaml").read_text())


def parsed(text: str) -> dict[str, Any]:
    """A template's text."""
    return yaml.load(text, _Loader)  # type: ignore[no-any-return]  # noqa: S506  # a safe loader


def resources(kind: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Template, logical name and resource, of all or of one type."""
    for name in NAMES:
        for logical, resource in template(name)["Resources"].items():
            if kind in ("", resource["Type"]):
                yield name, logical, resource
