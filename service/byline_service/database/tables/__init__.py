"""Tables in one `metadata`, one module per domain. Migrations repeat them, since a migration never changes."""

from byline_service.database.tables import accounts, answers, compensation, versions
from byline_service.database.tables.common import metadata

APPEND_ONLY = (*accounts.APPEND_ONLY, *versions.APPEND_ONLY, *compensation.APPEND_ONLY)
"""Tables whose rows are only ever added. A trigger refuses to change or delete one."""

__all__ = ["APPEND_ONLY", "accounts", "answers", "compensation", "metadata", "versions"]
