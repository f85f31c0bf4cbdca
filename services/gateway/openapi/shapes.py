"""JSON Schemas of our types, with the sentences that stand under their fields in the code."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from services.common.field_texts import field_texts
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
