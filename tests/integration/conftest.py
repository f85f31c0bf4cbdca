"""Fixtures of the integration tests."""

import os
from collections.abc import Iterator

import pytest

from tests.auth_process import secrets_url
from tests.chromium import browser, shared_browser
from tests.container import Container, running
from tests.gateways import gateway, start_gateway
from tests.groups import begin_alone
from tests.pipeline import pipeline, start_pipeline, talk

__all__ = [
    "browser",
    "gateway",
    "pipeline",
    "secrets_url",
    "shared_browser",
    "start_gateway",
    "start_pipeline",
    "talk",
]


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The model's container, for all tests that ask it something; `test_endpoint_stop.py` ends it."""
    begin_alone("container", tmp_path_factory, os.environ.get("PYTEST_XDIST_WORKER"))
    with running(tmp_path_factory.mktemp("endpoint")) as ready:
        yield ready
