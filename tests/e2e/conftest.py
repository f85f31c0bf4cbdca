"""One local stack with the bundled model for all end-to-end tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api import Api, logged_in
from tests.stack_thread import StackThread


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    running = StackThread(tmp_path_factory.mktemp("stack")).start()
    yield running
    running.stop()


@pytest.fixture
async def api(stack: StackThread) -> AsyncIterator[Api]:
    async with logged_in(stack.url, stack.username, stack.password) as client:
        yield client


@pytest.fixture
async def other(stack: StackThread) -> AsyncIterator[Api]:
    """Another user."""
    async with logged_in(stack.url, "other", "another password") as client:
        yield client
