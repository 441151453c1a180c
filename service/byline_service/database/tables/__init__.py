"""Tables, one module a subject, all in one `metadata`. Migrations spell them out again: they never change."""

from byline_service.database.tables import accounts, compensation, versions
from byline_service.database.tables.common import metadata

__all__ = ["accounts", "compensation", "metadata", "versions"]
