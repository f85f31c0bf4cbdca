"""The OpenAPI document against the router, and against the specification."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.common.field_texts import field_texts
from services.gateway.app import ROUTES
from services.gateway.openapi.operation import Content, Operation, Raw
from services.gateway.openapi.operations import OPERATIONS, UNDOCUMENTED
from services.gateway.openapi.routes import made

DOCUMENT: dict[str, Any] = msgspec.json.decode(made(ROUTES).body)


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def contents() -> list[tuple[Operation, Content]]:
    return [
        (operation, content)
        for operation in OPERATIONS
        for given in (operation.body, *(answer.content for answer in operation.answers))
        for content in given
    ]


def test_every_route_is_documented_and_nothing_else_is() -> None:
    documented = {operation.key for operation in OPERATIONS}
    routed = {(route.method, route.path) for route in ROUTES} - {("GET", path) for path in UNDOCUMENTED}
    assert documented == routed, "describe a new route in services/gateway/openapi"


def test_no_operation_is_described_twice() -> None:
    assert len({operation.key for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def test_the_document_follows_the_specification() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_reference_leads_somewhere() -> None:
    named = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= named


def test_names_of_schemas_are_short() -> None:
    """Two types of one name would be told apart by their modules."""
    assert all("." not in name and name.isidentifier() for name in DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("operation", "content"),
    [one for one in contents() if one[1].example is not None],
    ids=lambda one: getattr(one, "name", getattr(one, "media", "")),
)
def test_examples_have_the_shape_they_stand_for(operation: Operation, content: Content) -> None:
    if isinstance(content.shape, Raw):
        return
    msgspec.convert(msgspec.to_builtins(content.example), content.shape)


def test_every_json_body_to_send_has_an_example() -> None:
    lacking = [
        operation.name
        for operation in OPERATIONS
        for content in operation.body
        if content.media == "application/json" and content.example is None
    ]
    assert not lacking


def test_parameters_in_the_path_are_those_of_the_route() -> None:
    for operation in OPERATIONS:
        stated = {one.name for one in operation.parameters if one.where == "path"}
        assert stated == {piece.split("}")[0] for piece in operation.path.split("{")[1:]}, operation.key


class Explained(msgspec.Struct):
    """A type."""

    one: int
    """What it means, on
    two lines."""
    two: str = "2"
    three: int = 3
    """The third."""


def test_sentences_under_fields_become_descriptions() -> None:
    assert field_texts(Explained) == {"one": "What it means, on two lines.", "three": "The third."}
    properties = DOCUMENT["components"]["schemas"]["Job"]["properties"]
    assert properties["attempt"]["description"] == "How often its gaps were tried again."
