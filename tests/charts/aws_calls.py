"""Which operations of AWS our services call, read out of their code."""

import ast

from tests.charts.templates import ROOT


def methods_called(path: str, attribute: str) -> dict[str, set[str]]:
    """For each function of a module, the methods that it calls on `self.<attribute>`."""
    tree = ast.parse((ROOT / path).read_text())
    found: dict[str, set[str]] = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Attribute)
                    and node.value.attr == attribute
                ):
                    found.setdefault(function.name, set()).add(node.attr)
    return found


def actions(service: str, operations: set[str]) -> set[str]:
    """As IAM writes what botocore calls get_secret_value."""
    return {f"{service}:{''.join(word.title() for word in name.split('_'))}" for name in operations}


def secret_actions(user: str) -> set[str]:
    """What a module of auth does with its secret."""
    calls = methods_called("services/auth/secrets.py", "_client")
    used = set().union(*methods_called(user, "_secrets").values())
    return set().union(*(actions("secretsmanager", calls[method]) for method in used))
