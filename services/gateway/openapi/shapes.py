"""JSON Schemas of our types, with the sentences that stand under their fields in the code."""

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import msgspec

from services.gateway.openapi.operation import Raw, Shape

PLACE = "#/components/schemas/{name}"


def schemas(shapes: Iterable[Shape]) -> tuple[dict[str, Any], dict[str, Any]]:
    """For each shape, by its `repr`, its schema; and the named ones that those refer to."""
    wanted = list({repr(shape): shape for shape in shapes}.items())
    ours = [shape for _, shape in wanted if not isinstance(shape, Raw)]
    found, named = msgspec.json.schema_components(ours, ref_template=PLACE)
    _describe(named, ours)
    given = iter(found)
    return {
        key: dict(shape.schema) if isinstance(shape, Raw) else next(given) for key, shape in wanted
    }, named


def field_texts(kind: type) -> dict[str, str]:
    """The string under each field of a class, on one line."""
    texts = {}
    for field, below in itertools.pairwise(_classes(sys.modules[kind.__module__])[kind.__name__].body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


@functools.cache
def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    """The classes of a module, by name. It is read once: to do so for each class made gateways start late."""
    return {
        node.name: node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def _describe(named: dict[str, Any], shapes: Iterable[Any]) -> None:
    for kind in _structs(msgspec.inspect.type_info(shape) for shape in shapes):
        schema = named.get(kind.__name__)
        if schema is None:
            continue
        for field, text in field_texts(kind).items():
            if (described := schema["properties"].get(field)) is not None:
                described["description"] = text


def _structs(found: Iterable[msgspec.inspect.Type]) -> Iterator[type]:
    """Every struct in these types, once."""
    seen = set()
    waiting = list(found)
    while waiting:
        one = waiting.pop()
        if isinstance(one, msgspec.inspect.StructType):
            if one.cls in seen:
                continue
            seen.add(one.cls)
            yield one.cls
            waiting += [field.type for field in one.fields]
        elif isinstance(one, msgspec.inspect.UnionType):
            waiting += one.types
        elif isinstance(one, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            waiting.append(one.item_type)
        elif isinstance(one, msgspec.inspect.DictType):
            waiting.append(one.value_type)
