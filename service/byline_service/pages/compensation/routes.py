"""The compensation pages as one list."""

from byline_service.pages.compensation import (
    compare,
    holds,
    keys,
    ledger,
    overview,
    owners,
    parties,
    payouts,
    policies,
    runs,
    start,
    statement_print,
)

PAGES = (
    start,
    overview,
    owners,
    runs,
    compare,
    policies,
    parties,
    holds,
    payouts,
    ledger,
    keys,
    statement_print,
)
"""Modules with a `router`."""
