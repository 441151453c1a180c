"""The compensation pages as one list."""

from byline_service.pages.compensation import ledger, overview, owners, runs, start, statement_print

PAGES = (start, overview, owners, runs, ledger, statement_print)
"""Modules with a `router`."""
