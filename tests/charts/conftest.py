"""The chart, rendered; an AWS account and somebody who deploys to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.charts.aws_account import Account, aws_account
from tests.charts.aws_operator import Operator
from tests.charts.rendering import Manifests, render
from tests.charts.warm_aws import warm_aws

Rendered = Callable[..., Manifests]


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """`rendered(["values-ha.yaml"], {"nats.enabled": False})`; renderings are kept for the session."""
    kept: dict[str, Manifests] = {}

    def get(files: Sequence[str] = (), given: Mapping[str, object] | None = None) -> Manifests:
        key = repr((tuple(files), sorted((given or {}).items())))
        if key not in kept:
            kept[key] = render(files, given)
        return kept[key]

    return get


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """moto's server, for the parts of an account that are its."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def served_account(moto: str) -> Iterator[Account]:
    with aws_account(moto) as account:
        yield account


@pytest.fixture
def account(served_account: Account) -> Account:
    """A new account at AWS."""
    served_account.clear()
    return served_account


@pytest.fixture(scope="session")
def aws_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder of an `aws` that answers at once, and its port."""
    folder = tmp_path_factory.mktemp("aws")
    with warm_aws(folder) as port:
        yield folder, port


@pytest.fixture
def operator(account: Account, tmp_path: Path, aws_command: tuple[Path, int]) -> Operator:
    """Somebody who deploys to that account."""
    return Operator(account, tmp_path, *aws_command)
