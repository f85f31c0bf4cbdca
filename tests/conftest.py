"""Fixtures shared by all tests: real servers on free loopback ports, ended by pid."""

import contextlib
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.common.bus import Bus, connect
from services.common.settings import ServiceSettings
from services.contracts.topology import MINIMUM_SERVER
from services.dev import processes
from services.dev.nats_server import NatsServer
from tests.api import Api, logged_in
from tests.declared_nats import declared_nats
from tests.groups import GroupScheduling, begin_alone, file_of, place_of
from tests.stack_thread import StackThread

if TYPE_CHECKING:
    from xdist.remote import Producer

TRUSTED = Path(__file__).with_name("trusted.pem")
"""The one authority that processes under test trust: each would take 0.2 s to read all of the machine's."""

ConnectBus = Callable[[str], AbstractAsyncContextManager[Bus]]


def pytest_configure() -> None:
    """Commands under test must hear Ctrl-C, which shells switch off for what they start with `&`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["SSL_CERT_FILE"] = str(TRUSTED)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes.PORTS = processes.PORTS[number::workers]  # what one worker was given looks free to the others


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
    """What takes longest begins first."""
    items.sort(key=lambda item: place_of(file_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> GroupScheduling:
    """Each file stays with one worker, for its module's fixtures, and so do all that share a slow starter."""
    config.option.loadscopereorder = False  # it would begin with the groups of the most tests
    return GroupScheduling(config, log)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    """One local stack with the bundled model for all end-to-end tests."""
    begin_alone("stack", tmp_path_factory, os.environ.get("PYTEST_XDIST_WORKER"))
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
