"""The compensation pages as one list."""

from byline_service.pages.compensation import (
    audit_log,
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
    audit_log,
    statement_print,
)
"""Modules with a `router`."""
