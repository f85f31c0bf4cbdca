"""Every operation of the API, in the order of the document."""

from services.gateway.openapi import (
    accounts,
    administration,
    hotwords,
    itself,
    jobs,
    openai,
    replaced,
    tokens,
    webhooks,
)

OPERATIONS = (
    *accounts.OPERATIONS,
    *tokens.OPERATIONS,
    *jobs.OPERATIONS,
    *webhooks.OPERATIONS,
    *hotwords.OPERATIONS,
    *openai.OPERATIONS,
    *administration.OPERATIONS,
    *replaced.OPERATIONS,
    *itself.OPERATIONS,
)
UNDOCUMENTED = frozenset({"/", "/docs", "/settings", "/static/{path:.+}"})
"""Pages for people."""
