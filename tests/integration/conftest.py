"""Fixtures of the integration tests."""

from tests.gateways import gateway, start_gateway

__all__ = ["gateway", "start_gateway"]
