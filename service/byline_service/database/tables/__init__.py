"""Tables in one `metadata`, one module per domain. Migrations repeat them, since a migration never changes."""

from byline_service.database.tables import accounts, compensation, versions
from byline_service.database.tables.common import metadata

__all__ = ["accounts", "compensation", "metadata", "versions"]
