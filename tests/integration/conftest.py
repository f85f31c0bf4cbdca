"""Fixtures of the integration tests."""

from tests.auth_process import secrets_url
from tests.gateways import gateway, start_gateway

__all__ = ["gateway", "secrets_url", "start_gateway"]
