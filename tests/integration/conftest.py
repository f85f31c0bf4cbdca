"""Fixtures of the integration tests."""

from tests.auth_process import secrets_url
from tests.gateways import gateway, start_gateway
from tests.pipeline import pipeline, start_pipeline, talk

__all__ = ["gateway", "pipeline", "secrets_url", "start_gateway", "start_pipeline", "talk"]
