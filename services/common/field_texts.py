"""The sentences that stand under the fields of our types, as the code has them."""

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Mapping
from types import ModuleType


def field_texts(kind: type) -> Mapping[str, str]:
    """The string under each field of a class of a module, on one line, by the field's name."""
    return _texts(sys.modules[kind.__module__])[kind.__name__]


@functools.cache
def _texts(module: ModuleType) -> dict[str, dict[str, str]]:
    """By class. A module is read once: to read it for each of its classes made gateways start late."""
    return {
        node.name: _below(node)
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def _below(node: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for field, below in itertools.pairwise(node.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts
