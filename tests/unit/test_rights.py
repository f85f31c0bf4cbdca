"""The rights at NATS cover what the code asks of each stream, so that a new use is not forgotten."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.contracts.rights import Role, rights
from services.contracts.topology import CONSUMERS, Stream

ROOT = Path(__file__).parents[2]
VERBS = {
    "last": ("DIRECT.GET.{}", "DIRECT.GET.{}.>"),
    "scanned": ("DIRECT.GET.{}", "DIRECT.GET.{}.>"),
    "next": ("DIRECT.GET.{}",),
    "_all": ("DIRECT.GET.{}",),
    "at": ("STREAM.MSG.GET.{}",),
    "remove": ("STREAM.MSG.GET.{}", "STREAM.MSG.DELETE.{}"),
    "subjects": ("STREAM.INFO.{}",),
    "now": ("STREAM.INFO.{}",),
    "fill": ("STREAM.INFO.{}",),
    "purge": ("STREAM.PURGE.{}",),
    "BrokerClock": ("STREAM.INFO.{}",),
    "Documents": ("DIRECT.GET.{}.>", "STREAM.MSG.GET.{}"),
}
"""What the methods of `Bus`, and documents, need of the stream that they are given."""
WORKERS = (Role.AUTH, Role.GATEWAY, Role.CHUNKER, Role.TRANSCRIBER)


def uses(folder: Path) -> Iterator[tuple[str, Stream]]:
    """Each call that names a stream: the method, and the stream."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            for argument in node.args:
                if (
                    isinstance(argument, ast.Attribute)
                    and isinstance(argument.value, ast.Name)
                    and argument.value.id == "Stream"
                ):
                    yield name, Stream[argument.attr]


@pytest.mark.parametrize("role", WORKERS)
def test_a_service_may_use_each_stream_as_its_code_does(role: Role) -> None:
    granted = rights()[role].publish
    found = sorted(set(uses(ROOT / "services" / role)))
    missing = {
        f"{name} on {stream} needs {subject}"
        for name, stream in found
        for subject in (f"$JS.API.{verb.format(stream)}" for verb in VERBS[name])
        if subject not in granted
    }
    assert found
    assert not missing, f"services/contracts/rights.py gives {role} too little: {missing}"


@pytest.mark.parametrize("role", WORKERS)
def test_a_service_may_read_and_purge_no_stream_that_its_code_does_not(role: Role) -> None:
    used = {stream for _, stream in uses(ROOT / "services" / role)}
    if (
        role is Role.GATEWAY
    ):  # `broker_watch` looks at the head of every queue, and asks how every stream stands
        used |= {consumer.stream for consumer in CONSUMERS}
    for subject in rights()[role].publish:
        if role is Role.GATEWAY and subject.startswith("$JS.API.STREAM.INFO."):
            continue
        if subject.startswith(("$JS.API.DIRECT.", "$JS.API.STREAM.")):
            streams = set(subject.split(".")) & set(Stream)
            assert streams <= used, f"{role} does not need {subject}"
