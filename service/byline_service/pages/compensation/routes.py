"""The compensation pages as one list."""

from byline_service.pages.compensation import (
    compare,
    holds,
    keys,
    ledger,
    overview,
    owners,
    policies,
    runs,
    start,
    statement_print,
)

PAGES = (start, overview, owners, runs, compare, policies, holds, ledger, keys, statement_print)
"""Modules with a `router`."""
