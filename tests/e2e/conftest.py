"""Fixtures of the end-to-end tests."""

from tests.chromium import browser, shared_browser

__all__ = ["browser", "shared_browser"]
