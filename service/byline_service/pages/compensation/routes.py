"""The compensation pages as one list."""

from byline_service.pages.compensation import (
    compare,
    consents,
    holds,
    keys,
    ledger,
    overview,
    owners,
    parties,
    payouts,
    policies,
    rights,
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
    rights,
    consents,
    holds,
    payouts,
    ledger,
    keys,
    statement_print,
)
"""Modules with a `router`."""
