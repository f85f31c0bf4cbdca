"""Fixtures of the integration tests."""

from tests.auth_process import secrets_url
from tests.chromium import browser, shared_browser
from tests.gateways import gateway, start_gateway
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
