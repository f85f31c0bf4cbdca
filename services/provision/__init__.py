"""Declares streams and consumers: the step that runs before the services start."""
