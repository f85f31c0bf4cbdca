"""Fixtures shared by all tests: real servers on free loopback ports, ended by pid."""

import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.contracts.topology import MINIMUM_SERVER
from services.dev.nats_server import NatsServer
from tests.api import Api, logged_in
from tests.declared_nats import declared_nats
from tests.stack_thread import StackThread

SHARE_STACK = ("e2e", "clients", "charts")
"""Folders whose tests use one local stack between them."""
SHARE_CONTAINER = "integration"
"""The folder whose tests use one container of the model between them."""

TRUSTED = Path(__file__).with_name("trusted.pem")
"""The one authority that processes under test trust: each would take 0.2 s to read all of the machine's."""

ConnectBus = Callable[[str], AbstractAsyncContextManager[Bus]]


def pytest_configure() -> None:
    """Commands under test must hear Ctrl-C, which shells switch off for what they start with `&`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["SSL_CERT_FILE"] = str(TRUSTED)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What the tests import stays to the end: no garbage collection need walk these million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each file stays with one worker, for its module's fixtures, and so do all that share a slow starter."""
    for item in items:
        fixtures, folder = getattr(item, "fixturenames", ()), item.path.parent.name
        if "stack" in fixtures and folder in SHARE_STACK:
            group = "stack"
        elif "container" in fixtures and folder == SHARE_CONTAINER:
            group = "container"
        else:
            group = str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """One local stack with the bundled model for all end-to-end tests."""
    running = StackThread(tmp_path_factory.mktemp("stack")).start()
    yield running
    running.stop()


@pytest.fixture
async def api(stack: StackThread) -> AsyncIterator[Api]:
    """A user of it, logged in."""
    async with logged_in(stack.url, stack.username, stack.password) as client:
        yield client


@pytest.fixture
async def other(stack: StackThread) -> AsyncIterator[Api]:
    """Another user."""
    async with logged_in(stack.url, "other", "another password") as client:
        yield client


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A nats-server of the test's own, with every stream declared."""
    async with declared_nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def bus(broker: NatsServer) -> AsyncIterator[Bus]:
    """A connection to the test's broker."""
    async with connect(ServiceSettings(nats_url=broker.url), "test", MINIMUM_SERVER) as connected:
        yield connected


@pytest.fixture
def connect_bus(broker: NatsServer) -> ConnectBus:
    """Makes further connections by role name."""

    @contextlib.asynccontextmanager
    async def make(name: str) -> AsyncIterator[Bus]:
        async with connect(ServiceSettings(nats_url=broker.url), name, MINIMUM_SERVER) as connected:
            yield connected

    return make
